#include "evaluate/consumer_profile.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace farthing::evaluate {
namespace {

const std::vector<ConsumerProfile>& profiles() {
  static const std::vector<ConsumerProfile> kProfiles = {
      {"vllm",
       {"compressed-tensors", "awq", "gptq", "bitsandbytes", "fp8", "none"},
       {4, 8},
       {-1, 32, 64, 128},
       64,
       32,
       true},
      {"transformers",
       {"compressed-tensors", "awq", "gptq", "bitsandbytes", "fp8", "none"},
       {},
       {},
       1,
       1,
       true},
      {"autoawq", {"awq"}, {4}, {-1, 32, 64, 128}, 8, 32, false},
      {"gptqmodel", {"gptq", "awq"}, {2, 3, 4, 8}, {}, 32, 32, false},
      {"bitsandbytes", {"bitsandbytes"}, {}, {}, 1, 1, true},
      {"llama.cpp", {"gguf"}, {}, {}, 1, 1, false},
  };
  return kProfiles;
}

// Fields that a loader reads without a default. An empty consumer: all of them.
struct RequiredFields {
  std::string_view consumer, method;
  std::vector<std::string_view> keys;
};

const std::vector<RequiredFields>& required_fields() {
  static const std::vector<RequiredFields> kFields = {
      {"", "compressed-tensors", {"config_groups", "format"}},
      {"", "awq", {"bits", "group_size", "zero_point", "version"}},
      {"", "gptq", {"bits", "group_size"}},
      {"vllm", "gptq", {"desc_act", "sym"}},
      {"gptqmodel", "gptq", {"desc_act", "sym"}},
      {"", "fp8", {"activation_scheme"}},
  };
  return kFields;
}

// The older spellings that loaders take as well.
bool has_field(const Json& config, std::string_view key) {
  constexpr std::pair<std::string_view, std::string_view> kSynonyms[] = {{"bits", "w_bit"},
                                                                         {"group_size", "q_group_size"}};
  if (config.contains(key)) return true;
  return std::ranges::any_of(kSynonyms, [&](const auto& synonym) {
    return synonym.first == key && config.contains(synonym.second);
  });
}

std::string text_of(const Json& config, std::string_view key) {
  const auto found = config.find(key);
  return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// The pairs of weights and inputs that vLLM's compressed-tensors loader has a class for. Four-bit integers
// with 8-bit integer inputs run on its CPU and Arm back ends alone, and MXFP4 and MXFP8 need a release of
// 2026.
bool vllm_has_kernel(const scheme::QuantizationArgs& weights, const scheme::QuantizationArgs* inputs) {
  using scheme::Dynamic;
  using scheme::Strategy;
  const bool by_row = weights.strategy == Strategy::kTensor || weights.strategy == Strategy::kChannel;
  const bool by_token =
      inputs && inputs->strategy == Strategy::kToken && inputs->dynamic == Dynamic::kDynamic;
  if (weights.type != NumberType::kInt) {
    if (weights.num_bits == 4 || weights.scale_dtype == DType::kU8) return true;  // NVFP4, MXFP4, MXFP8
    return by_row || weights.strategy == Strategy::kBlock;
  }
  if (!inputs) return weights.strategy == Strategy::kChannel || weights.strategy == Strategy::kGroup;
  if (inputs->num_bits != 8 || !weights.symmetric) return false;
  if (inputs->type != NumberType::kInt) return weights.num_bits == 4 && by_token;
  if (weights.num_bits == 4) return by_token && inputs->symmetric;
  return by_row && (by_token || inputs->strategy == Strategy::kTensor);
}

// vLLM quantizes caches to FP8 with one scale each.
void check_cache_scheme(const Json& config, std::vector<Problem>& problems) {
  const auto cache = config.find("kv_cache_scheme");
  if (cache == config.end() || !cache->is_object()) return;
  const bool fits = cache->value("num_bits", 0) == 8 && text_of(*cache, "type") == "float" &&
                    text_of(*cache, "strategy") == "tensor" && cache->value("symmetric", false);
  if (!fits)
    problems.push_back({"kv_cache_scheme", "vllm takes a symmetric 8-bit float with one scale per tensor"});
}

bool is_number(const Json& metadata, const std::string& key) {
  const auto found = metadata.find(key);
  return found != metadata.end() && found->is_number();
}

std::size_t array_size(const Json& metadata, const char* key) {
  const auto found = metadata.find(key);
  return found != metadata.end() && found->is_array() ? found->size() : 0;
}

void check_tokenizer(const Json& metadata, std::int64_t vocab_size, std::vector<Problem>& problems) {
  const std::string model = text_of(metadata, "tokenizer.ggml.model");
  const std::size_t tokens = array_size(metadata, "tokenizer.ggml.tokens");
  if (model.empty() || tokens == 0) {
    problems.push_back({"tokenizer.ggml.tokens", "is missing, so llama.cpp cannot read or write text"});
    return;
  }
  if (vocab_size > 0 && tokens != static_cast<std::size_t>(vocab_size)) {
    problems.push_back({"tokenizer.ggml.tokens",
                        fmt::format("{} tokens, but the embedding has {} rows", tokens, vocab_size)});
  }
  const bool scored = model != "gpt2" && model != "bert";
  for (const char* key : {"tokenizer.ggml.scores", "tokenizer.ggml.token_type"}) {
    const bool is_scores = std::string_view(key).ends_with("scores");
    if ((!is_scores || scored) && array_size(metadata, key) != tokens)
      problems.push_back({key, "does not have one entry per token"});
  }
  if (model == "gpt2" && array_size(metadata, "tokenizer.ggml.merges") == 0)
    problems.push_back({"tokenizer.ggml.merges", "is missing"});
  if (model == "gpt2" && text_of(metadata, "tokenizer.ggml.pre").empty())
    problems.push_back({"tokenizer.ggml.pre", "is missing, so llama.cpp cuts words by a rule of its own"});
}

}  // namespace

std::span<const ConsumerProfile> consumer_profiles() {
  return profiles();
}

const ConsumerProfile* find_consumer(std::string_view name) {
  const auto found = std::ranges::find(profiles(), name, &ConsumerProfile::name);
  return found == profiles().end() ? nullptr : &*found;
}

std::string refusal(const ConsumerProfile& consumer, std::string_view method, const scheme::Scheme& scheme) {
  if (!scheme.weights) return "";
  const scheme::QuantizationArgs& weights = *scheme.weights;
  const auto accepts = [](const auto& list, auto value) {
    return list.empty() || std::ranges::find(list, value) != list.end();
  };
  if (weights.type == NumberType::kInt && !scheme::is_llm_int8(weights)) {
    if (!accepts(consumer.packed_bits, weights.num_bits))
      return fmt::format("{} bits; {} takes {}", weights.num_bits, consumer.name,
                         fmt::join(consumer.packed_bits, ", "));
    const std::int64_t group = weights.group_size.value_or(-1);
    if (!accepts(consumer.group_sizes, group))
      return fmt::format("group size {}; {} takes {}", group, consumer.name,
                         fmt::join(consumer.group_sizes, ", "));
  }
  const auto* inputs = scheme.input_activations ? &*scheme.input_activations : nullptr;
  if (consumer.name == "vllm" && method == "compressed-tensors" && !vllm_has_kernel(weights, inputs))
    return fmt::format("{}; vllm has no kernel for it", scheme::describe(scheme));
  return "";
}

std::vector<Problem> check_config_fields(const ConsumerProfile& consumer, std::string_view method,
                                         const Json& config) {
  std::vector<Problem> problems;
  if (!config.is_object()) return problems;
  for (const RequiredFields& required : required_fields()) {
    if (required.method != method || (!required.consumer.empty() && required.consumer != consumer.name))
      continue;
    for (const std::string_view key : required.keys) {
      if (!has_field(config, key))
        problems.push_back({fmt::format("quantization_config.{}", key),
                            fmt::format("is missing; {} reads it", consumer.name)});
    }
  }
  if (consumer.name == "vllm") check_cache_scheme(config, problems);
  if (method == "bitsandbytes") {
    const bool four = config.value("load_in_4bit", false), eight = config.value("load_in_8bit", false);
    if (four == eight)
      problems.push_back({"quantization_config", "load_in_4bit or load_in_8bit has to be true"});
    const std::string storage = text_of(config, "bnb_4bit_quant_storage");
    if (consumer.name == "vllm" && four && !storage.empty() && storage != "uint8")
      problems.push_back({"quantization_config.bnb_4bit_quant_storage", "vllm takes uint8, not " + storage});
  }
  if (method == "awq" && consumer.name == "autoawq") {
    const std::string version = text_of(config, "version");
    constexpr std::array<std::string_view, 4> kVersions = {"gemm", "gemv", "gemv_fast", "marlin"};
    if (std::ranges::find(kVersions, version) == kVersions.end())
      problems.push_back(
          {"quantization_config.version", fmt::format("autoawq knows {}", fmt::join(kVersions, ", "))});
  }
  return problems;
}

std::vector<Problem> check_gguf_metadata(const Json& metadata, std::int64_t vocab_size) {
  std::vector<Problem> problems;
  const std::string architecture = text_of(metadata, "general.architecture");
  if (architecture.empty()) return {{"general.architecture", "is missing"}};
  for (const std::string_view key :
       {"context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count",
        "attention.layer_norm_rms_epsilon"}) {
    const std::string name = fmt::format("{}.{}", architecture, key);
    if (!is_number(metadata, name)) problems.push_back({name, "is missing"});
  }
  check_tokenizer(metadata, vocab_size, problems);
  return problems;
}

}  // namespace farthing::evaluate
