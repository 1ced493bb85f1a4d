// The table of schemes, methods, formats and consumers holds in every cell: a model is quantized by each
// scheme and method, written in each format, and verified for each consumer, named or not.
#include <algorithm>

#include "tests/program/program.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/directory.h"
#include "base/file.h"
#include "base/json.h"
#include "checkpoint/writer.h"

namespace farthing::program {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kHidden = 128, kIntermediate = 256, kVocabulary = 4096;

Tensor small_numbers(Shape shape, std::uint32_t seed) {
  Tensor tensor = Tensor::empty(DType::kF32, std::move(shape));
  float* values = tensor.mutable_data<float>();
  std::uint32_t state = seed * 2654435761U + 1;
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    state = state * 1664525U + 1013904223U;
    values[i] = (static_cast<float>(state >> 8) / 8388608.0F - 1.0F) * 0.1F;
  }
  return tensor;
}

// A Llama of one block whose shapes fit every kernel's tiles, with the demo model's tokenizer.
void write_model(const fs::path& folder) {
  create_directories(folder);
  const fs::path demo = source_path("models/tiny-llava-21m");
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"})
    fs::copy(demo / name, folder / name);
  const Json config = {{"architectures", {"LlamaForCausalLM"}},
                       {"model_type", "llama"},
                       {"hidden_size", kHidden},
                       {"intermediate_size", kIntermediate},
                       {"num_hidden_layers", 1},
                       {"num_attention_heads", 2},
                       {"num_key_value_heads", 2},
                       {"vocab_size", kVocabulary},
                       {"max_position_embeddings", 512},
                       {"rms_norm_eps", 1e-5},
                       {"tie_word_embeddings", false},
                       {"torch_dtype", "float32"}};
  write_text_atomically(folder / "config.json", config.dump(2));
  std::vector<std::pair<std::string, Tensor>> tensors;
  const auto add = [&](const std::string& name, Shape shape) {
    tensors.emplace_back(name + ".weight",
                         small_numbers(std::move(shape), static_cast<std::uint32_t>(tensors.size())));
  };
  add("model.embed_tokens", {kVocabulary, kHidden});
  for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"})
    add(std::string("model.layers.0.self_attn.") + name, {kHidden, kHidden});
  add("model.layers.0.mlp.gate_proj", {kIntermediate, kHidden});
  add("model.layers.0.mlp.up_proj", {kIntermediate, kHidden});
  add("model.layers.0.mlp.down_proj", {kHidden, kIntermediate});
  for (const char* name : {"input_layernorm", "post_attention_layernorm"})
    add(std::string("model.layers.0.") + name, {kHidden});
  add("model.norm", {kHidden});
  add("lm_head", {kVocabulary, kHidden});
  checkpoint::save_safetensors(folder / "model.safetensors", tensors);
}

const std::vector<std::string> kConsumers = {"vllm",      "transformers", "autoawq",
                                             "gptqmodel", "bitsandbytes", "llama.cpp"};
const std::vector<std::string> kFormats = {"compressed-tensors", "awq", "gptq", "gptq_v2",
                                           "bitsandbytes",       "gguf"};

Json table() {
  return parse_json(run({"schemes", "--json"}).out, "stdout")["schemes"];
}

class Schemes : public testing::Test {
 protected:
  Schemes() { write_model(folder_.path() / "model"); }

  Outcome quantize(const std::string& scheme, const std::string& format, const std::string& method) const {
    std::vector<std::string> arguments = {"quantize", folder_ / "model", "-o",   folder_ / "out", "--scheme",
                                          scheme,     "--format",        format, "--overwrite",   "--quiet"};
    if (format != "gguf") arguments.insert(arguments.end(), {"--method", method});
    if (method != "rtn" || scheme == "FP8")
      arguments.insert(arguments.end(), {"--calibration", source_path("data/text/wikitext2-test-part.txt"),
                                         "--samples", "2", "--sequence-length", "32"});
    return run(arguments);
  }

  std::string result(const std::string& format) const {
    if (format == "gguf") {
      for (const auto& entry : fs::directory_iterator(folder_.path() / "out"))
        if (entry.path().extension() == ".gguf") return entry.path().string();
    }
    return folder_ / "out";
  }

  TemporaryFolder folder_;
};

TEST_F(Schemes, AreHeldByTheFormatsOfTheTableAndLoadedByItsConsumers) {
  for (const Json& row : table()) {
    for (const std::string& format : kFormats) {
      SCOPED_TRACE(row["scheme"].get<std::string>() + " as " + format);
      const Outcome done = quantize(row["scheme"], format, "rtn");
      if (!row["formats"].contains(format)) {
        EXPECT_NE(done.exit_code, 0);
        continue;
      }
      ASSERT_EQ(done.exit_code, 0) << done.err;
      const Json& named = row["formats"][format];
      for (const std::string& consumer : kConsumers) {
        const bool loads = std::ranges::find(named, Json(consumer)) != named.end();
        const Outcome verified = run({"verify", result(format), "--for", consumer});
        EXPECT_EQ(verified.exit_code, loads ? 0 : 6) << consumer << ": " << verified.out << verified.err;
      }
    }
  }
}

TEST_F(Schemes, AreMadeByTheMethodsOfTheTable) {
  for (const Json& row : table()) {
    if (row["formats"].contains("gguf")) continue;  // the test above
    for (const std::string method : {"rtn", "gptq", "awq", "smoothquant"}) {
      SCOPED_TRACE(row["scheme"].get<std::string>() + " by " + method);
      const Json& named = row["methods"];
      const bool made = std::ranges::find(named, Json(method)) != named.end();
      const Outcome done = quantize(row["scheme"], row["formats"].begin().key(), method);
      EXPECT_EQ(done.exit_code, made ? 0 : 2) << done.err;
    }
  }
}

TEST(SchemeTable, TheDocumentIsMadeFromTheRegistries) {
  const std::string document = read_text(source_path("docs/schemes.md"));
  EXPECT_TRUE(document.ends_with(run({"schemes"}).out)) << "run scripts/write_tables.sh build/.../farthing";
}

}  // namespace
}  // namespace farthing::program
