#include "quantize/gguf_export.h"

#include <csignal>
#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/test_files.h"
#include "checkpoint/writer.h"
#include "models/model.h"
#include "models/prompt.h"
#include "models/tokenizer_files.h"
#include "scheme/quantizer.h"

namespace farthing::quantize {
namespace {

namespace fs = std::filesystem;
using checkpoint::Checkpoint;
using testing::HasSubstr;

const fs::path kSource = FARTHING_SOURCE_DIR;
const fs::path kDemo = kSource / "models" / "tiny-llava-21m";

class GgufExport : public testing::Test {
 protected:
  plan::QuantizeResult write(const fs::path& model, const std::string& scheme, const fs::path& output,
                             const calibrate::CalibrationSet* calibration = nullptr,
                             std::vector<std::string> ignore = {}) {
    const auto source = std::make_shared<const Checkpoint>(Checkpoint::open(model));
    const Json config = source->config();
    const nn::ModelSpec spec = models::declare(models::Config(config));
    const plan::GgufPlan plan = plan::make_gguf_plan(*source, config, spec,
                                                     {.mixture = formats::gguf::find_mixture(scheme),
                                                      .model_name = "model",
                                                      .ignore = std::move(ignore),
                                                      .weigh_columns = calibration != nullptr});
    Reporter silent;
    return export_gguf(plan, source, calibration, {.output = output, .overwrite = true}, pool_, silent,
                       CancelToken());
  }

  // Largest difference between the tensors of two checkpoints of one text model.
  static double distance(const fs::path& a, const fs::path& b) {
    const Checkpoint first = Checkpoint::open(a), second = Checkpoint::open(b);
    double largest = 0;
    for (const checkpoint::TensorInfo& info : first.tensors()) {
      if (info.name.ends_with("inv_freq")) continue;  // of old files; computed
      const Tensor x = to_float32(first.read(info.name)), y = to_float32(second.read(info.name));
      EXPECT_EQ(x.shape(), y.shape()) << info.name;
      for (std::int64_t i = 0; i < x.numel(); ++i)
        largest = std::max(largest, std::abs(double{x.data<float>()[i]} - y.data<float>()[i]));
    }
    return largest;
  }

  checkpoint::TemporaryFolder folder_;
  ThreadPool pool_{2};
};

TEST_F(GgufExport, PlainTypesKeepEveryValue) {
  for (const char* family : {"llama", "qwen3"}) {
    SCOPED_TRACE(family);
    const fs::path model = kSource / "tests/data/families" / family;
    const plan::QuantizeResult result = write(model, "F32", folder_ / "x.gguf");
    EXPECT_EQ(distance(model, folder_ / "x.gguf"), 0);
    EXPECT_EQ(result.format, "gguf");
    EXPECT_FALSE(fs::exists(folder_ / "x.gguf.partial"));
    const models::Model again = models::Model::open(folder_ / "x.gguf");
    EXPECT_EQ(again.spec().decoder.blocks.size(), 2u);
  }
}

// Gemma's norms hold 1 + w in the file, and its queries, windows and caps have keys of their own.
TEST_F(GgufExport, GemmaComesBack) {
  for (const char* family : {"gemma", "gemma2", "gemma3_text", "gemma3"}) {
    SCOPED_TRACE(family);
    const char* fixtures = std::getenv("FARTHING_FIXTURES");
    const fs::path model = std::string(family) == "gemma" || fixtures == nullptr
                               ? kSource / "tests/data/families" / family
                               : fs::path(fixtures) / "fixtures/families" / family;
    if (!fs::exists(model)) continue;
    write(model, "F32", folder_ / "x.gguf");
    models::Model original = models::Model::open(model), again = models::Model::open(folder_ / "x.gguf");
    const std::vector<std::int32_t> ids = {3, 1, 4, 1, 5, 9, 2, 10, 8, 14, 11, 12, 10, 13};
    const auto logits = [&](models::Model& any) {
      const models::Prepared prepared = any.prepare(ids, models::PictureTensors(), pool_);
      return any.logits(any.forward(prepared.hidden, prepared.batch(), pool_), pool_);
    };
    const Tensor expected = to_float32(logits(original)), got = to_float32(logits(again));
    ASSERT_EQ(got.shape(), expected.shape());
    for (std::int64_t i = 0; i < got.numel(); ++i)
      ASSERT_NEAR(got.data<float>()[i], expected.data<float>()[i], 1e-4) << i;
    const Json facts = checkpoint::gguf::read_metadata(folder_ / "x.gguf");
    const std::string prefix = facts.at("general.architecture").get<std::string>() + ".";
    EXPECT_TRUE(facts.contains(prefix + "attention.key_length"));
    EXPECT_EQ(facts.contains(prefix + "attention.sliding_window"), std::string(family) != "gemma");
  }
}

// A model of a configuration with weights that are anything.
fs::path make_model(const fs::path& folder, const Json& config) {
  fs::create_directories(folder);
  write_text_atomically(folder / "config.json", config.dump());
  std::vector<std::pair<std::string, Tensor>> tensors;
  std::uint32_t state = 7;
  models::for_each_tensor(models::declare(models::Config(config)),
                          [&](const models::DeclaredTensor& declared) {
                            Tensor tensor = Tensor::zeros(DType::kF32, declared.shape);
                            for (std::int64_t i = 0; i < tensor.numel(); ++i) {
                              state = state * 1664525 + 1013904223;
                              tensor.mutable_data<float>()[i] =
                                  static_cast<float>(state >> 8) / static_cast<float>(1 << 25) - 0.2f;
                            }
                            tensors.emplace_back(declared.name, tensor);
                          });
  checkpoint::save_safetensors(folder / "model.safetensors", tensors);
  return folder;
}

Json mixture_config(const std::string& family, bool normalized) {
  return {{"model_type", family},
          {"vocab_size", 40},
          {"hidden_size", 32},
          {"intermediate_size", 64},
          {"moe_intermediate_size", 32},
          {"shared_expert_intermediate_size", 64},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 8},
          {"num_experts", 5},
          {"num_local_experts", 5},
          {"num_experts_per_tok", 2},
          {"norm_topk_prob", normalized},
          {"max_position_embeddings", 64},
          {"tie_word_embeddings", false}};
}

// Experts lie in stacks in the file; the shared one and its gate have names of their own.
TEST_F(GgufExport, ExpertsComeBack) {
  for (const auto& [family, normalized, stored] : {std::tuple{"mixtral", true, "llama"},
                                                   {"qwen2_moe", false, "qwen2moe"},
                                                   {"qwen2_moe", true, "qwen2moe"},
                                                   {"qwen3_moe", true, "qwen3moe"}}) {
    SCOPED_TRACE(family);
    const fs::path model = make_model(folder_ / family, mixture_config(family, normalized));
    const plan::QuantizeResult result = write(model, "F32", folder_ / "x.gguf");
    EXPECT_EQ(distance(model, folder_ / "x.gguf"), 0);
    const Json facts = checkpoint::gguf::read_metadata(folder_ / "x.gguf");
    EXPECT_EQ(facts.at("general.architecture"), stored);
    EXPECT_EQ(facts.at(std::string(stored) + ".expert_count"), 5);
    models::Model original = models::Model::open(model), again = models::Model::open(folder_ / "x.gguf");
    EXPECT_EQ(again.spec().decoder.blocks[0].moe->normalize_top_k, normalized);
    const std::vector<std::int32_t> ids = {3, 1, 4, 15, 9, 26, 5, 35};
    const auto logits = [&](models::Model& any) {
      const models::Prepared prepared = any.prepare(ids, models::PictureTensors(), pool_);
      return to_float32(any.logits(any.forward(prepared.hidden, prepared.batch(), pool_), pool_));
    };
    EXPECT_TRUE(std::ranges::equal(logits(original).bytes(), logits(again).bytes()));
    const plan::QuantizeResult rounded = write(model, "Q8_0", folder_ / "x.gguf");
    EXPECT_LT(distance(model, folder_ / "x.gguf"), 0.01);
    EXPECT_TRUE(std::ranges::any_of(rounded.layers, [](const plan::LayerResult& layer) {
      return layer.name.find(".experts.4.") != std::string::npos && layer.scheme == "Q8_0";
    }));
  }
}

TEST_F(GgufExport, BlocksWithAndWithoutExpertsAreRefused) {
  Json config = mixture_config("qwen3_moe", true);
  config["mlp_only_layers"] = {1};
  EXPECT_THROW(write(make_model(folder_ / "mixed", config), "F32", folder_ / "x.gguf"), Error);
}

// Asks to stop once `after` units of the work are done.
class Stopping : public Reporter {
 public:
  Stopping(CancelToken& cancel, std::int64_t after) : cancel_(cancel), after_(after) {}
  void progress(const Progress& progress) override {
    if (progress.stage == "quantize" && ++seen_ == after_) cancel_.request(SIGINT);
  }

 private:
  CancelToken& cancel_;
  std::int64_t after_, seen_ = 0;
};

TEST_F(GgufExport, GoesOnFromAnyUnitAndEndsInTheSameBytes) {
  const fs::path model = kSource / "tests/data/families/llama";
  const plan::QuantizeResult whole = write(model, "Q4_0", folder_ / "whole.gguf");
  for (std::int64_t after = 1; after <= 4; ++after) {
    const auto source = std::make_shared<const Checkpoint>(Checkpoint::open(model));
    const Json config = source->config();
    const plan::GgufPlan plan =
        plan::make_gguf_plan(*source, config, models::declare(models::Config(config)),
                             {.mixture = formats::gguf::find_mixture("Q4_0"), .model_name = "model"});
    const GgufExportOptions options = {.output = folder_ / "x.gguf", .overwrite = true, .resume = true};
    CancelToken cancel;
    Stopping stopping(cancel, after);
    EXPECT_THROW(export_gguf(plan, source, nullptr, options, pool_, stopping, cancel), Error);
    Reporter silent;
    const plan::QuantizeResult resumed =
        export_gguf(plan, source, nullptr, options, pool_, silent, CancelToken());
    EXPECT_EQ(resumed.resumed_blocks, after);
    EXPECT_EQ(resumed.layers.size(), whole.layers.size());
    EXPECT_EQ(resumed.sha256, whole.sha256);
    EXPECT_FALSE(fs::exists(folder_ / "x.gguf.partial"));
  }
}

TEST_F(GgufExport, ErrorsFallWithBitsAndAreReported) {
  const fs::path model = kSource / "tests/data/families/llama";
  double before = 1e9;
  for (const char* scheme : {"Q4_0", "Q5_1", "Q8_0"}) {
    const plan::QuantizeResult result = write(model, scheme, folder_ / "x.gguf");
    ASSERT_FALSE(result.layers.empty());
    double worst = 0;
    for (const plan::LayerResult& layer : result.layers) worst = std::max(worst, layer.relative_error);
    EXPECT_LT(worst, before) << scheme;
    EXPECT_GT(worst, 0);
    before = worst;
  }
}

// The text part of a model with pictures: its tokenizer and template travel inside the file.
TEST_F(GgufExport, TheFileSpeaksForItself) {
  const plan::QuantizeResult result = write(kDemo, "Q4_K_M", folder_ / "out");
  const fs::path file = folder_ / "out" / "model-Q4_K_M.gguf";
  ASSERT_TRUE(fs::exists(file));
  EXPECT_TRUE(std::ranges::any_of(result.deviations, [](const auto& deviation) {
    return deviation.second.find("picture") != std::string::npos;
  }));
  const models::Model model = models::Model::open(folder_ / "out");
  const auto prompts =
      models::PromptProcessor::open(folder_ / "out", std::make_shared<const nn::ModelSpec>(model.spec()));
  const tokenizer::Tokenizer original = models::open_tokenizer(kDemo);
  EXPECT_EQ(prompts.tokenizer().encode("What animal is this?"), original.encode("What animal is this?"));
  EXPECT_TRUE(prompts.has_template());
  EXPECT_EQ(models::open_chat_template(file)->source(), models::open_chat_template(kDemo)->source());
}

TEST_F(GgufExport, IgnoredModulesStayPlain) {
  const plan::QuantizeResult result =
      write(kSource / "tests/data/families/llama", "Q8_0", folder_ / "x.gguf", nullptr, {"re:.*down_proj"});
  EXPECT_EQ(result.ignored.size(), 2u);
  const Checkpoint checkpoint = Checkpoint::open(folder_ / "x.gguf");
  EXPECT_EQ(checkpoint.at("model.layers.0.mlp.down_proj.weight").dtype, DType::kF16);
}

TEST_F(GgufExport, OtherFamiliesAndExistingFilesAreRefused) {
  const auto problem = [&](const fs::path& model) {
    try {
      write(model, "Q8_0", folder_ / "x.gguf");
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  EXPECT_THAT(problem(kSource / "tests/data/families/mpt"), HasSubstr("model_type=mpt"));
  EXPECT_FALSE(fs::exists(folder_ / "x.gguf"));
}

// Files that the gguf package wrote: the same tensors under the same names, byte for byte, and the same
// facts.
TEST_F(GgufExport, DataFreeTypesAreThePeersFiles) {
  const char* fixtures = std::getenv("FARTHING_FIXTURES");
  if (fixtures == nullptr) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  const fs::path quantized = fs::path(fixtures) / "fixtures/quantized";
  for (const std::string name : {"f16", "q4_0", "q4_1", "q5_1", "q8_0"}) {
    SCOPED_TRACE(name);
    write(quantized / "base-mini", name, folder_ / "x.gguf");
    const fs::path theirs = quantized / ("gguf-" + name) / "model.gguf";
    const Checkpoint peer = Checkpoint::open(theirs), own = Checkpoint::open(folder_ / "x.gguf");
    const std::string peer_bytes = read_text(theirs), own_bytes = read_text(folder_ / "x.gguf");
    ASSERT_EQ(peer.tensors().size(), own.tensors().size());
    for (const checkpoint::TensorInfo& info : peer.tensors()) {
      const checkpoint::TensorInfo& mine = own.at(info.name);
      EXPECT_EQ(mine.shape, info.shape);
      ASSERT_EQ(mine.block_type, info.block_type) << info.name;
      ASSERT_EQ(mine.stored_bytes, info.stored_bytes) << info.name;
      EXPECT_TRUE(std::string_view(peer_bytes).substr(info.offset, info.stored_bytes) ==
                  std::string_view(own_bytes).substr(mine.offset, mine.stored_bytes))
          << info.name;
    }
    const Json facts = checkpoint::gguf::read_metadata(folder_ / "x.gguf");
    const Json expected = checkpoint::gguf::read_metadata(theirs);
    for (const auto& [key, value] : expected.items()) {
      if (key == "general.name" || value.is_array() || key == "tokenizer.ggml.model") continue;
      EXPECT_EQ(facts.value(key, Json()), value) << key;
    }
  }
}

}  // namespace
}  // namespace farthing::quantize
