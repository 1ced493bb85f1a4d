// The recipes that the project ships: each reads, and names modules of the family that it is called after.
#include <set>

#include <gtest/gtest.h>

#include "base/error.h"
#include "models/family.h"
#include "plan/recipe.h"
#include "scheme/target.h"

namespace farthing::plan {
namespace {

namespace fs = std::filesystem;

// What a pattern of the recipe may name: linears, what they are part of, and tensors of any kind.
std::set<std::string> names_of(const nn::ModelSpec& spec) {
  std::set<std::string> names;
  for (const models::ModuleInfo& linear : models::linears_of(spec)) {
    names.insert(linear.path);
    for (const auto& [path, class_name] : linear.parents) names.insert({path, class_name});
  }
  models::for_each_tensor(spec, [&](const models::DeclaredTensor& tensor) { names.insert(tensor.name); });
  return names;
}

// A mapping means places of the family where a scale can move, and names all that read it.
void expect_folds(const MappingPattern& mapping, const nn::ModelSpec& spec) {
  int found = 0;
  for (const models::FoldingPair& pair : models::folding_pairs_of(spec)) {
    if (!pair.smooth.starts_with(spec.decoder.path + ".") ||
        !scheme::matches(mapping.smooth, {{pair.smooth}, ""}))
      continue;
    for (const std::string& path : pair.balance) {
      const bool named =
          std::any_of(mapping.balance.begin(), mapping.balance.end(), [&](const auto& pattern) {
            return scheme::matches(pattern, {{path}, ""});
          });
      EXPECT_TRUE(named) << path << " reads " << pair.smooth;
    }
    ++found;
  }
  EXPECT_GT(found, 0) << mapping.smooth;
}

TEST(Recipes, NameModulesOfTheirFamily) {
  int count = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(fs::path(FARTHING_SOURCE_DIR) / "recipes")) {
    const std::string file = entry.path().filename().string();
    SCOPED_TRACE(file);
    const Recipe recipe = read_recipe(entry.path());
    ASSERT_FALSE(recipe.modifiers.empty());
    std::string family = file.substr(0, file.find('-'));
    Json config = {{"mm_tokens_per_image", 49}};
    if (family == "pixtral") {
      family = "llava";
      config = {{"vision_config", {{"model_type", "pixtral"}}}, {"text_config", {{"model_type", "mistral"}}}};
    }
    if (family == "llava_next") config["text_config"] = {{"model_type", "mistral"}};
    config["model_type"] = family;
    const nn::ModelSpec spec = models::declare(models::Config(config));
    const std::set<std::string> names = names_of(spec);
    for (const Modifier& modifier : recipe.modifiers) {
      for (const std::string& target : modifier.sequential_targets)
        EXPECT_TRUE(names.contains(target)) << target;
      // Rounding to FP8 needs no walk through the blocks.
      if (modifier.method == Method::kGptq) {
        EXPECT_EQ(modifier.sequential_targets, spec.sequential_targets);
      }
      EXPECT_EQ(modifier.ignore.empty(), spec.default_ignore.empty());
    }
    for (const Transform& transform : recipe.transforms)
      for (const MappingPattern& mapping : transform.mappings) expect_folds(mapping, spec);
    ++count;
  }
  EXPECT_GE(count, 40);
}

}  // namespace
}  // namespace farthing::plan
