// What verify accepts for whom, and that it finds each thing that can be wrong with a folder.
#include "evaluate/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/test_files.h"
#include "evaluate/consumer_profile.h"

namespace farthing::evaluate {
namespace {

namespace fs = std::filesystem;
using checkpoint::expect_error;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

const fs::path kSource = FARTHING_SOURCE_DIR;
const fs::path kModel = kSource / "models" / "tiny-llava-21m";

// "where: what" of every problem.
std::vector<std::string> problems(const fs::path& folder, std::string_view consumer = "") {
  std::vector<std::string> lines;
  for (const Problem& problem : verify(folder, consumer))
    lines.push_back(problem.where + ": " + problem.what);
  return lines;
}

class VerifyTest : public testing::Test {
 protected:
  VerifyTest() : model_(folder_ / "model") { fs::copy(kModel, model_); }

  void edit_config(const std::function<void(Json&)>& edit) const {
    Json config = read_json(model_ / "config.json");
    edit(config);
    write_text_atomically(model_ / "config.json", config.dump());
  }

  checkpoint::TemporaryFolder folder_;
  const fs::path model_;
};

TEST_F(VerifyTest, TheDemoModelIsFineForThoseWhoLoadDenseWeights) {
  EXPECT_THAT(problems(kModel), IsEmpty());
  EXPECT_THAT(problems(kModel, "vllm"), IsEmpty());
  EXPECT_THAT(problems(kModel, "transformers"), IsEmpty());
  EXPECT_THAT(problems(kModel, "autoawq"), Contains(HasSubstr("autoawq loads awq, not none")));
  EXPECT_THAT(problems(kModel, "llama.cpp"), Contains(HasSubstr("gguf")));
}

TEST_F(VerifyTest, EveryConsumerHasAProfileAndOthersAreRefused) {
  for (const std::string_view name : consumer_names()) verify(kModel, name);
  expect_error(Code::kInvalidArgument,
               {"for=vlm", "vllm, transformers, autoawq, gptqmodel, bitsandbytes, llama.cpp"},
               [] { verify(kModel, "vlm"); });
  expect_error(Code::kNotFound, {"nowhere"}, [] { verify("/nowhere", ""); });
}

TEST_F(VerifyTest, MissingAndBrokenFilesAreProblems) {
  fs::remove(model_ / "preprocessor_config.json");
  fs::remove(model_ / "processor_config.json");
  EXPECT_THAT(problems(model_), Contains(HasSubstr("preprocessor_config.json: is missing")));
  fs::remove(model_ / "tokenizer.json");
  EXPECT_THAT(problems(model_), Contains(HasSubstr("tokenizer: ")));
  for (const char* config :
       {"", "{", "[]", "3", R"({"model_type": 5})", R"({"model_type": "llava", "text_config": 1})",
        R"({"quantization_config": []})", R"({"quantization_config": {"quant_method": {}}})"}) {
    SCOPED_TRACE(config);
    write_text_atomically(model_ / "config.json", config);
    EXPECT_THAT(problems(model_, "vllm"), testing::Not(IsEmpty()));
  }
}

TEST_F(VerifyTest, WeightsThatDoNotFitTheConfigAreNamed) {
  edit_config([](Json& config) { config["text_config"]["intermediate_size"] = 1000; });
  EXPECT_THAT(problems(model_), Contains(HasSubstr("mlp.gate_proj.weight")));
  edit_config([](Json& config) {
    config["text_config"]["intermediate_size"] = 1024;
    config["text_config"]["num_hidden_layers"] = 9;
  });
  EXPECT_THAT(problems(model_), Contains(HasSubstr("layers.8.")));
}

TEST_F(VerifyTest, AFileThatEndsEarlyIsAProblem) {
  fs::resize_file(model_ / "model.safetensors", fs::file_size(model_ / "model.safetensors") / 2);
  EXPECT_THAT(problems(model_), Contains(HasSubstr("model.safetensors")));
}

TEST_F(VerifyTest, FormatMetadataIsWantedByThoseWhoReadIt) {
  std::string bytes = read_text(model_ / "model.safetensors");
  const std::size_t at = bytes.find("\"format\":\"pt\"");
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, 13, "\"former\":\"pt\"");
  write_text_atomically(model_ / "model.safetensors", bytes);
  EXPECT_THAT(problems(model_, "vllm"), Contains(HasSubstr("lacks \"format\": \"pt\"")));
  EXPECT_THAT(problems(model_), IsEmpty());
}

// Quantized folders of the peers are what their consumers load.
class VerifyQuantized : public testing::Test {
 protected:
  fs::path copy(const std::string& name) const {
    fs::copy(kSource / "tests" / "data" / "quantized" / name, folder_ / name, fs::copy_options::recursive);
    return folder_ / name;
  }

  // Replaces two bytes at the beginning of a tensor.
  static void poison(const fs::path& folder, const std::string& tensor, std::string_view value) {
    const auto info = checkpoint::Checkpoint::open(folder).at(tensor);
    std::string bytes = read_text(info.file);
    bytes.replace(info.offset, value.size(), value);
    write_text_atomically(info.file, bytes);
  }

  static std::vector<std::string> about_modules(const fs::path& folder, std::string_view consumer) {
    std::vector<std::string> lines;
    for (const std::string& line : problems(folder, consumer))
      if (line.find("layers.") == 0 || line.find(".layers.") != std::string::npos) lines.push_back(line);
    return lines;
  }

  checkpoint::TemporaryFolder folder_;
};

TEST_F(VerifyQuantized, LimitsOfTheConsumersAreChecked) {
  EXPECT_THAT(about_modules(copy("llmcompressor-w4a16"), "transformers"), IsEmpty());
  EXPECT_THAT(about_modules(copy("llmcompressor-w3a16"), "vllm"),
              Contains(HasSubstr("3 bits; vllm takes 4, 8")));
  EXPECT_THAT(problems(copy("gptqmodel-w4-g128-v2"), "autoawq"),
              Contains(HasSubstr("autoawq loads awq, not gptq")));
  EXPECT_THAT(about_modules(copy("autoawq-gemm-g64"), "autoawq"), IsEmpty());
}

// A good file of each format for each of its consumers, and the same with one field of its config gone.
TEST_F(VerifyQuantized, FieldsThatLoadersReadAreWanted) {
  const struct {
    const char *name, *consumer, *field;
  } kCases[] = {
      {"llmcompressor-w4a16", "vllm", "format"},
      {"llmcompressor-w4a16", "transformers", "config_groups"},
      {"autoawq-gemm-g64", "autoawq", "version"},
      {"autoawq-gemm-g64", "vllm", "zero_point"},
      {"gptqmodel-w8-g128", "gptqmodel", "desc_act"},
      {"gptqmodel-w8-g128", "vllm", "sym"},
      {"gptqmodel-w8-g128", "transformers", "bits"},
      {"bitsandbytes-fp4", "bitsandbytes", "load_in_4bit"},
      {"bitsandbytes-int8", "transformers", "load_in_8bit"},
  };
  const auto about_config = [](const fs::path& folder, std::string_view consumer) {
    std::vector<std::string> lines;
    for (const std::string& line : problems(folder, consumer))
      if (line.find("quantization_config") == 0) lines.push_back(line);
    return lines;
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(fmt::format("{} {} {}", c.name, c.consumer, c.field));
    fs::remove_all(folder_ / c.name);
    const fs::path folder = copy(c.name);
    EXPECT_THAT(about_config(folder, c.consumer), IsEmpty());
    fs::remove(folder / "quantize_config.json");
    Json config = read_json(folder / "config.json");
    config["quantization_config"].erase(c.field);
    write_text_atomically(folder / "config.json", config.dump());
    EXPECT_THAT(problems(folder, c.consumer), testing::Not(IsEmpty()));
  }
}

TEST_F(VerifyQuantized, StorageThatVllmDoesNotTakeIsNamed) {
  EXPECT_THAT(problems(copy("bitsandbytes-nf4-double-bf16-storage"), "vllm"), Contains(HasSubstr("uint8")));
}

Json gguf_metadata() {
  return {{"general.architecture", "llama"},
          {"llama.context_length", 64},
          {"llama.embedding_length", 8},
          {"llama.block_count", 1},
          {"llama.feed_forward_length", 16},
          {"llama.attention.head_count", 2},
          {"llama.attention.layer_norm_rms_epsilon", 1e-5},
          {"tokenizer.ggml.model", "gpt2"},
          {"tokenizer.ggml.pre", "qwen2"},
          {"tokenizer.ggml.tokens", {"a", "b"}},
          {"tokenizer.ggml.token_type", {1, 1}},
          {"tokenizer.ggml.merges", {"a b"}}};
}

TEST(VerifyGguf, MetadataThatLlamaCppNeedsIsWanted) {
  EXPECT_TRUE(check_gguf_metadata(gguf_metadata(), 2).empty());
  EXPECT_EQ(check_gguf_metadata(gguf_metadata(), 3).front().where, "tokenizer.ggml.tokens");
  const Json whole = gguf_metadata();
  for (const auto& [key, value] : whole.items()) {
    Json metadata = whole;
    metadata.erase(key);
    EXPECT_FALSE(check_gguf_metadata(metadata, 2).empty()) << key;
  }
  Json scored = gguf_metadata();
  scored["tokenizer.ggml.model"] = "llama";
  EXPECT_EQ(check_gguf_metadata(scored, 2).front().where, "tokenizer.ggml.scores");
}

TEST_F(VerifyQuantized, AScaleThatIsNoNumberIsFound) {
  const fs::path folder = copy("llmcompressor-w4a16");
  std::string tensor;
  const auto checkpoint = checkpoint::Checkpoint::open(folder);
  for (const auto& info : checkpoint.tensors())
    if (info.name.ends_with("weight_scale")) tensor = info.name;
  ASSERT_FALSE(tensor.empty());
  poison(folder, tensor, "\xff\x7f");  // not a number in bf16 and in fp16
  const std::string module = tensor.substr(0, tensor.rfind('.'));
  EXPECT_THAT(problems(folder), Contains(testing::AllOf(HasSubstr(module), HasSubstr("finite"))));
}

}  // namespace
}  // namespace farthing::evaluate
