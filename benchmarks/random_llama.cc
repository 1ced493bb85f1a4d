// Writes a checkpoint with random weights in the shape of Llama-3.2-1B (1.24 B parameters, 2.4 GB of bf16,
// tied head), or a smaller one, to measure memory and time of quantizing something large without downloading
// it.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/writer.h"
#include "tensor/float_types.h"

namespace farthing {
namespace {

constexpr std::int64_t kHeadDim = 64;

struct Sizes {
  std::int64_t layers = 16, hidden = 2048, vocabulary = 128256;

  std::int64_t intermediate() const { return 4 * hidden; }
  std::int64_t heads() const { return hidden / kHeadDim; }
  std::int64_t key_value_heads() const { return heads() / 4; }
};

// xorshift64*: fast, and the same file everywhere.
struct Generator {
  std::uint64_t state = 0x9e3779b97f4a7c15ull;
  std::uint64_t next() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545f4914f6cdd1dull;
  }
  // Sum of four 16-bit draws: close to normal, mean 0, standard deviation 1.
  float normal() {
    const std::uint64_t bits = next();
    const int sum =
        static_cast<int>((bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48)) -
        2 * 0xffff;
    return static_cast<float>(sum) * (1.0f / 37837.0f);
  }
};

std::vector<checkpoint::TensorPlan> tensors_of(const Sizes& sizes) {
  std::vector<checkpoint::TensorPlan> plan = {
      {"model.embed_tokens.weight", DType::kBF16, {sizes.vocabulary, sizes.hidden}}};
  for (std::int64_t i = 0; i < sizes.layers; ++i) {
    const std::string block = fmt::format("model.layers.{}.", i);
    const auto linear = [&](const char* name, std::int64_t out, std::int64_t in) {
      plan.push_back({block + name + ".weight", DType::kBF16, {out, in}});
    };
    linear("self_attn.q_proj", sizes.heads() * kHeadDim, sizes.hidden);
    linear("self_attn.k_proj", sizes.key_value_heads() * kHeadDim, sizes.hidden);
    linear("self_attn.v_proj", sizes.key_value_heads() * kHeadDim, sizes.hidden);
    linear("self_attn.o_proj", sizes.hidden, sizes.heads() * kHeadDim);
    linear("mlp.gate_proj", sizes.intermediate(), sizes.hidden);
    linear("mlp.up_proj", sizes.intermediate(), sizes.hidden);
    linear("mlp.down_proj", sizes.hidden, sizes.intermediate());
    plan.push_back({block + "input_layernorm.weight", DType::kBF16, {sizes.hidden}});
    plan.push_back({block + "post_attention_layernorm.weight", DType::kBF16, {sizes.hidden}});
  }
  plan.push_back({"model.norm.weight", DType::kBF16, {sizes.hidden}});
  return plan;
}

void write_weights(const std::filesystem::path& directory, const Sizes& sizes) {
  const auto plan = tensors_of(sizes);
  checkpoint::CheckpointWriter writer(directory, plan);
  Generator generator;
  for (const auto& tensor : plan) {
    const bool is_norm = tensor.shape.size() == 1;
    const float scale = is_norm ? 0.1f : 1.0f / 45.0f;
    writer.write_stream(tensor.name, [&](const checkpoint::ByteSink& sink) {
      std::vector<std::uint16_t> piece(1 << 20);
      for (std::int64_t left = num_elements(tensor.shape); left > 0;) {
        const auto count =
            static_cast<std::size_t>(std::min<std::int64_t>(left, static_cast<std::int64_t>(piece.size())));
        for (std::size_t i = 0; i < count; ++i)
          piece[i] = float_to_bf16((is_norm ? 1.0f : 0.0f) + scale * generator.normal());
        sink(std::as_bytes(std::span(piece.data(), count)));
        left -= static_cast<std::int64_t>(count);
      }
    });
  }
  writer.finish();
}

Json config_of(const Sizes& sizes) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"dtype", "bfloat16"},
          {"hidden_size", sizes.hidden},
          {"intermediate_size", sizes.intermediate()},
          {"num_hidden_layers", sizes.layers},
          {"num_attention_heads", sizes.heads()},
          {"num_key_value_heads", sizes.key_value_heads()},
          {"head_dim", kHeadDim},
          {"vocab_size", sizes.vocabulary},
          {"max_position_embeddings", 8192},
          {"rms_norm_eps", 1e-5},
          {"rope_theta", 500000.0},
          {"tie_word_embeddings", true},
          {"bos_token_id", 1},
          {"eos_token_id", 7}};
}

}  // namespace

// 0, 1 after an error, 2 for a wrong command line.
int write_random_llama(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: random_llama OUT TOKENIZER_DIR [layers [hidden [vocabulary]]]\n");
    return 2;
  }
  try {
    const std::filesystem::path directory = argv[1];
    Sizes sizes;
    if (argc > 3) sizes.layers = std::atoll(argv[3]);
    if (argc > 4) sizes.hidden = std::atoll(argv[4]);
    if (argc > 5) sizes.vocabulary = std::atoll(argv[5]);
    std::filesystem::create_directories(directory);
    write_weights(directory, sizes);
    for (const char* name : {"tokenizer.json", "tokenizer_config.json"}) {
      std::filesystem::copy_file(std::filesystem::path(argv[2]) / name, directory / name,
                                 std::filesystem::copy_options::overwrite_existing);
    }
    write_text_atomically(directory / "config.json", config_of(sizes).dump(2) + "\n");
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return 1;
  }
  return 0;
}

}  // namespace farthing

int main(int argc, char** argv) {
  return farthing::write_random_llama(argc, argv);
}
