// What surrounds the weights: config.json, side files byte for byte, and a recipe that means what was done.
#include "quantize/finish.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "checkpoint/test_files.h"

namespace farthing::quantize {
namespace {

namespace fs = std::filesystem;

const fs::path kModel = fs::path(FARTHING_SOURCE_DIR) / "models" / "tiny-llava-21m";

class Finish : public testing::Test {
 protected:
  plan::QuantizePlan plan_for(const plan::Recipe& recipe) const {
    const Json config = source_.config();
    return plan::make_plan(source_, config, models::declare(models::Config(config)), recipe,
                           {.model_name = "tiny"});
  }

  checkpoint::Checkpoint source_ = checkpoint::Checkpoint::open(kModel);
  checkpoint::TemporaryFolder folder_;
};

TEST_F(Finish, SideFilesAreCopiedByteForByteAndWeightsAreNot) {
  finish_directory(plan_for(plan::recipe_from_flags({}, true)), source_, folder_.path());
  for (const auto& entry : fs::directory_iterator(kModel)) {
    const std::string name = entry.path().filename();
    if (name == "config.json" || name == "model.safetensors") continue;
    EXPECT_TRUE(read_text(entry.path()) == read_text(folder_ / name)) << name;
  }
  EXPECT_FALSE(fs::exists(folder_ / "model.safetensors"));
}

TEST_F(Finish, TheConfigGainsAQuantizationBlockAndLosesNothing) {
  const plan::QuantizePlan plan = plan_for(plan::recipe_from_flags({}, true));
  finish_directory(plan, source_, folder_.path());
  Json config = read_json(folder_ / "config.json");
  const Json block = config.at("quantization_config");
  EXPECT_EQ(block.at("quant_method"), "compressed-tensors");
  EXPECT_FALSE(block.at("ignore").empty()) << "the head and the tower are not quantized";
  config.erase("quantization_config");
  EXPECT_EQ(config, read_json(kModel / "config.json"));
}

TEST_F(Finish, AQuantizedHeadIsNoLongerTied) {
  plan::QuantizePlan plan = plan_for(plan::recipe_from_flags({}, true));
  plan.unties_head = true;
  finish_directory(plan, source_, folder_.path());
  const Json config = read_json(folder_ / "config.json");
  EXPECT_EQ(config.at("tie_word_embeddings"), false);
  EXPECT_EQ(config.at("text_config").at("tie_word_embeddings"), false);
}

// The recipe that is written for flags says the same when it is read again.
TEST_F(Finish, TheRecipeOfFlagsReadsBack) {
  plan::RecipeFlags flags{
      .scheme = "W4A16", .method = "gptq", .group_size = 64, .actorder = "group", .dampening_frac = 0.05};
  const plan::Recipe recipe = plan::recipe_from_flags(flags, true);
  const plan::QuantizePlan plan = plan_for(recipe);
  const plan::Recipe again = plan::parse_recipe(recipe_text(plan), "recipe.yaml");
  ASSERT_EQ(again.modifiers.size(), plan.recipe.modifiers.size());
  const plan::Modifier &a = plan.recipe.modifiers[0], &b = again.modifiers[0];
  EXPECT_EQ(a.method, b.method);
  EXPECT_EQ(a.ignore, b.ignore);
  EXPECT_EQ(a.gptq.block_size, b.gptq.block_size);
  EXPECT_EQ(a.gptq.dampening_frac, b.gptq.dampening_frac);
  const plan::QuantizePlan second = plan_for(again);
  ASSERT_EQ(second.linears.size(), plan.linears.size());
  for (std::size_t i = 0; i < plan.linears.size(); ++i) {
    EXPECT_EQ(second.linears[i].module.path, plan.linears[i].module.path);
    EXPECT_TRUE(second.linears[i].scheme.weights == plan.linears[i].scheme.weights) << i;
  }
}

TEST_F(Finish, TheUsersRecipeIsKeptAsWritten) {
  const std::string text =
      "# mine\nquant_stage:\n  quant_modifiers:\n    QuantizationModifier:\n"
      "      scheme: W8A16\n      targets: [Linear]\n      ignore: ['re:.*lm_head']\n";
  const plan::QuantizePlan plan = plan_for(plan::parse_recipe(text, "mine.yaml"));
  finish_directory(plan, source_, folder_.path());
  EXPECT_EQ(read_text(folder_ / "recipe.yaml"), text);
}

TEST_F(Finish, TheHashCoversEveryWeightFileInOrder) {
  folder_.write("model-2.safetensors", "two");
  const std::string single = sha256_of_weights(folder_.path());
  EXPECT_EQ(single, sha256_of_file(folder_ / "model-2.safetensors"));
  folder_.write("model-1.safetensors", "one");
  folder_.write("config.json", "{}");
  const std::string both = sha256_of_weights(folder_.path());
  Sha256 hash;
  for (const char* name : {"model-1.safetensors", "model-2.safetensors"})
    hash.update(fmt::format("{}  {}\n", sha256_of_file(folder_ / name), name));
  EXPECT_EQ(both, hash.finish());
  folder_.write("model-1.safetensors", "One");
  EXPECT_NE(sha256_of_weights(folder_.path()), both);
}

}  // namespace
}  // namespace farthing::quantize
