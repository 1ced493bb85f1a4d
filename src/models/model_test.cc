// Opening models: what is checked before any work, and what the errors say.
#include "models/model.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/writer.h"
#include "models/test_data.h"

namespace farthing::models {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

// A copy of the llama fixture with a config that can be changed.
class ModelFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              ("model_test_" + std::string(testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    fs::copy(family_folder("llama") / "model.safetensors", folder_);
    config_ = read_json(family_folder("llama") / "config.json");
  }
  void TearDown() override { fs::remove_all(folder_); }

  Model open() const {
    std::ofstream(folder_ / "config.json") << config_;
    return Model::open(folder_);
  }

  Error error_of_open() const {
    try {
      open();
    } catch (const Error& error) {
      return error;
    }
    return Error(Code::kInternal, "no error");
  }

  fs::path folder_;
  Json config_;
  ThreadPool pool_{2};
};

TEST_F(ModelFolder, AMissingTensorIsNamed) {
  config_["num_hidden_layers"] = 3;
  const Error error = error_of_open();
  EXPECT_EQ(error.code(), Code::kNotFound);
  EXPECT_THAT(error.what(), HasSubstr("model.layers.2.input_layernorm.weight"));
  EXPECT_THAT(error.what(), HasSubstr(folder_.string()));
  EXPECT_THAT(error.hint(), HasSubstr("the nearest name is model.layers."));
}

TEST_F(ModelFolder, WithoutAHeadTheEmbeddingServesUnlessTheFileSaysOtherwise) {
  const auto whole = checkpoint::Checkpoint::open(folder_);
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const checkpoint::TensorInfo& info : whole.tensors())
    if (info.name != "lm_head.weight") tensors.emplace_back(info.name, whole.read(info.name).clone());
  config_.erase("tie_word_embeddings");
  EXPECT_FALSE(open().spec().decoder.tie_word_embeddings);
  checkpoint::save_safetensors(folder_ / "model.safetensors", tensors);
  EXPECT_TRUE(open().spec().decoder.tie_word_embeddings);
  config_["tie_word_embeddings"] = false;
  EXPECT_THAT(error_of_open().what(), HasSubstr("lm_head.weight"));
}

TEST_F(ModelFolder, AWrongShapeIsNamed) {
  config_["intermediate_size"] = 90;
  const Error error = error_of_open();
  EXPECT_EQ(error.code(), Code::kCorruptData);
  EXPECT_THAT(error.what(), HasSubstr("model.layers.0.mlp.gate_proj.weight"));
  EXPECT_THAT(error.what(), HasSubstr("[88, 64]"));
  EXPECT_THAT(error.what(), HasSubstr("[90, 64]"));
}

TEST_F(ModelFolder, AMissingConfigIsNamed) {
  try {
    Model::open(folder_);
    FAIL() << "opened";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kNotFound);
    EXPECT_THAT(error.what(), HasSubstr("config.json"));
  }
}

TEST_F(ModelFolder, FewerLayersLeaveTensorsUnexplained) {
  config_["num_hidden_layers"] = 1;
  const Model model = open();
  const auto& source = dynamic_cast<const CheckpointSource&>(model.source());
  const std::vector<std::string> names = source.unexplained();
  EXPECT_EQ(names.size(), 9u);  // the second layer without its inv_freq
  EXPECT_THAT(names, testing::Each(HasSubstr("model.layers.1.")));
}

TEST_F(ModelFolder, TheFilesSpellingOfModules) {
  const Model llava = Model::open(family_folder("llava"));
  const auto& source = dynamic_cast<const CheckpointSource&>(llava.source());
  EXPECT_EQ(source.file_name("model.language_model.layers.1.self_attn.q_proj"),
            "language_model.model.layers.1.self_attn.q_proj");
  EXPECT_EQ(source.file_name("model.language_model.layers.1"), "language_model.model.layers.1");
  EXPECT_EQ(source.file_name("lm_head"), "language_model.lm_head");
  EXPECT_EQ(source.file_name("model.vision_tower.encoder.layers.0.mlp.fc1.weight"),
            "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight");
  EXPECT_EQ(source.file_name("model.nothing"), "model.nothing");
}

TEST_F(ModelFolder, BlocksLoadWhenUsedAndCanBeForgotten) {
  Model model = open();
  EXPECT_EQ(model.num_bytes(), 0u);
  model.block(0);
  const std::size_t one = model.num_bytes();
  EXPECT_GT(one, 0u);
  model.unload_block(0);
  EXPECT_EQ(model.num_bytes(), 0u);
  model.load(pool_);
  EXPECT_GT(model.num_bytes(), 2 * one);
}

TEST_F(ModelFolder, BadIdsAndPicturesAreRefused) {
  Model model = open();
  const std::vector<std::int64_t> positions = {0};
  for (const std::int32_t id : {-1, 320})
    EXPECT_THROW(model.embed(std::vector<std::int32_t>{id}, positions, pool_), Error) << id;
  const PictureTensors picture = {{"pixel_values", Tensor::zeros(DType::kF32, {1, 3, 40, 40})}};
  EXPECT_THROW(model.prepare(std::vector<std::int32_t>{5}, picture, pool_), Error);

  Model llava = Model::open(family_folder("llava"));
  const std::vector<std::int32_t> one_placeholder = {1, 3, 5};
  EXPECT_THROW(llava.prepare(one_placeholder, picture, pool_), Error);
  EXPECT_THROW(llava.prepare(one_placeholder, PictureTensors{}, pool_), Error);
  EXPECT_THROW(llava.image_features({{"pixel_values", Tensor::zeros(DType::kF32, {1, 3, 48, 40})}}, pool_),
               Error);
  EXPECT_THROW(llava.image_features({}, pool_), Error);
}

TEST_F(ModelFolder, PositionsBeyondALearnedTableAreRefused) {
  Model model = Model::open(family_folder("opt-350m"));
  const std::vector<std::int32_t> ids = {5};
  EXPECT_NO_THROW(model.embed(ids, std::vector<std::int64_t>{63}, pool_));
  EXPECT_THROW(model.embed(ids, std::vector<std::int64_t>{64}, pool_), Error);
}

}  // namespace
}  // namespace farthing::models
