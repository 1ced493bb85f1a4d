#include "checkpoint/gguf/model.h"

#include <array>
#include <utility>

#include "base/error.h"

namespace farthing::checkpoint::gguf {
namespace {

struct Architecture {
  std::string_view name;        // general.architecture
  std::string_view model_type;  // config.json
  std::string_view class_name;  // config.json: architectures
  bool interleaves_rows;        // of query and key, for its own order of rotary embeddings
};

constexpr Architecture kArchitectures[] = {
    {"llama", "llama", "LlamaForCausalLM", true},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", false},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", false},
};

// Models of other types that are llamas to llama.cpp.
constexpr std::pair<std::string_view, std::string_view> kSameAs[] = {{"mistral", "llama"}};

constexpr std::pair<std::string_view, std::string_view> kWhole[] = {
    {"token_embd.", "model.embed_tokens."}, {"output_norm.", "model.norm."}, {"output.", "lm_head."}};

constexpr std::pair<std::string_view, std::string_view> kOfBlock[] = {
    {"attn_norm.", "input_layernorm."},    {"attn_q.", "self_attn.q_proj."},
    {"attn_k.", "self_attn.k_proj."},      {"attn_v.", "self_attn.v_proj."},
    {"attn_output.", "self_attn.o_proj."}, {"attn_q_norm.", "self_attn.q_norm."},
    {"attn_k_norm.", "self_attn.k_norm."}, {"ffn_norm.", "post_attention_layernorm."},
    {"ffn_gate.", "mlp.gate_proj."},       {"ffn_up.", "mlp.up_proj."},
    {"ffn_down.", "mlp.down_proj."},
};

const Architecture* find_architecture(const Json& metadata) {
  const auto found = metadata.find("general.architecture");
  if (found == metadata.end() || !found->is_string()) return nullptr;
  for (const Architecture& known : kArchitectures) {
    if (known.name == found->get_ref<const std::string&>()) return &known;
  }
  return nullptr;
}

// Values of one architecture's metadata.
class Values {
 public:
  Values(const Json& metadata, std::string prefix, const std::string& file)
      : metadata_(metadata), prefix_(std::move(prefix)), file_(file) {}

  const Json* find(std::string_view key) const {
    const auto found = metadata_.find(fmt::format("{}.{}", prefix_, key));
    return found == metadata_.end() ? nullptr : &*found;
  }
  std::int64_t integer(std::string_view key, std::optional<std::int64_t> fallback = {}) const {
    const Json* value = find(key);
    if (value == nullptr && fallback) return *fallback;
    require(value != nullptr && value->is_number_integer() && *value >= 0, key, "a whole number");
    return value->get<std::int64_t>();
  }
  double number(std::string_view key, std::optional<double> fallback = {}) const {
    const Json* value = find(key);
    if (value == nullptr && fallback) return *fallback;
    require(value != nullptr && value->is_number(), key, "a number");
    return value->get<double>();
  }

 private:
  void require(bool holds, std::string_view key, std::string_view what) const {
    FARTHING_REQUIRE(holds, Code::kCorruptData, fmt::format("the metadata lacks {}", what),
                     {{"file", file_}, {"key", fmt::format("{}.{}", prefix_, key)}});
  }

  const Json& metadata_;
  std::string prefix_;
  const std::string& file_;
};

// Llama 3 stores its scaling as factors of frequencies; the largest is the scaling's own, and the other
// numbers are the same in all of its models.
Json rope_scaling(const Values& values, const ModelFacts& facts) {
  if (facts.largest_rope_factor > 1) {
    return {{"rope_type", "llama3"},
            {"factor", facts.largest_rope_factor},
            {"low_freq_factor", 1.0},
            {"high_freq_factor", 4.0},
            {"original_max_position_embeddings", 8192}};
  }
  const Json* type = values.find("rope.scaling.type");
  if (type == nullptr || *type == "none" || values.find("rope.scaling.factor") == nullptr) return {};
  Json scaling = {{"rope_type", *type}, {"factor", values.number("rope.scaling.factor")}};
  if (values.find("rope.scaling.original_context_length") != nullptr)
    scaling["original_max_position_embeddings"] = values.integer("rope.scaling.original_context_length");
  return scaling;
}

// What was written before it became a float: 1e-05 rather than 9.999999747378752e-06.
double shortest(double value) {
  return std::stod(fmt::format("{}", static_cast<float>(value)));
}

}  // namespace

std::optional<std::string> tensor_name(std::string_view name) {
  if (name.starts_with("rope_freqs.")) return std::nullopt;
  for (const auto& [from, to] : kWhole) {
    if (name.starts_with(from)) return fmt::format("{}{}", to, name.substr(from.size()));
  }
  constexpr std::string_view kBlock = "blk.";
  const std::size_t dot = name.find('.', kBlock.size());
  if (!name.starts_with(kBlock) || dot == std::string_view::npos) return std::string(name);
  const std::string_view index = name.substr(kBlock.size(), dot - kBlock.size());
  const std::string_view rest = name.substr(dot + 1);
  for (const auto& [from, to] : kOfBlock) {
    if (rest.starts_with(from))
      return fmt::format("model.layers.{}.{}{}", index, to, rest.substr(from.size()));
  }
  return std::string(name);
}

std::optional<std::string> stored_name(std::string_view name) {
  for (const auto& [to, from] : kWhole) {
    if (name.starts_with(from)) return fmt::format("{}{}", to, name.substr(from.size()));
  }
  constexpr std::string_view kLayers = "model.layers.";
  const std::size_t dot = name.find('.', kLayers.size());
  if (!name.starts_with(kLayers) || dot == std::string_view::npos) return std::nullopt;
  const std::string_view index = name.substr(kLayers.size(), dot - kLayers.size());
  const std::string_view rest = name.substr(dot + 1);
  for (const auto& [to, from] : kOfBlock) {
    if (rest.starts_with(from)) return fmt::format("blk.{}.{}{}", index, to, rest.substr(from.size()));
  }
  return std::nullopt;
}

std::optional<StoredArchitecture> stored_architecture(std::string_view model_type) {
  for (const auto& [type, same] : kSameAs) {
    if (type == model_type) model_type = same;
  }
  for (const Architecture& known : kArchitectures) {
    if (known.model_type == model_type) return StoredArchitecture{known.name, known.interleaves_rows};
  }
  return std::nullopt;
}

std::vector<std::string_view> stored_model_types() {
  std::vector<std::string_view> types;
  for (const Architecture& known : kArchitectures) types.push_back(known.model_type);
  for (const auto& [type, same] : kSameAs) types.push_back(type);
  return types;
}

std::int64_t interleaved_heads(const Json& metadata, std::string_view name) {
  const Architecture* architecture = find_architecture(metadata);
  if (architecture == nullptr || !architecture->interleaves_rows) return 0;
  const bool query = name.find(".attn_q.") != std::string_view::npos;
  if (!query && name.find(".attn_k.") == std::string_view::npos) return 0;
  const Values values(metadata, std::string(architecture->name), "");
  const std::int64_t heads = values.integer("attention.head_count", 0);
  return query ? heads : values.integer("attention.head_count_kv", heads);
}

Json model_config(const Json& metadata, const ModelFacts& facts, const std::string& file) {
  const Architecture* architecture = find_architecture(metadata);
  FARTHING_REQUIRE(
      architecture != nullptr, Code::kUnsupported, "this architecture of GGUF is not read",
      {{"file", file}, {"general.architecture", metadata.value("general.architecture", Json()).dump()}},
      "known ones are llama, qwen2 and qwen3");
  const Values values(metadata, std::string(architecture->name), file);
  const std::int64_t heads = values.integer("attention.head_count");
  Json config = {{"architectures", {architecture->class_name}},
                 {"model_type", architecture->model_type},
                 {"hidden_size", values.integer("embedding_length")},
                 {"intermediate_size", values.integer("feed_forward_length")},
                 {"num_hidden_layers", values.integer("block_count")},
                 {"num_attention_heads", heads},
                 {"num_key_value_heads", values.integer("attention.head_count_kv", heads)},
                 {"rms_norm_eps", shortest(values.number("attention.layer_norm_rms_epsilon", 1e-6))},
                 {"rope_theta", values.number("rope.freq_base", 10000.0)},
                 {"max_position_embeddings", values.integer("context_length", 2048)},
                 {"vocab_size", facts.vocab_size},
                 {"hidden_act", "silu"},
                 {"tie_word_embeddings", !facts.has_head},
                 {"torch_dtype", "float32"}};
  if (values.find("attention.key_length") != nullptr)
    config["head_dim"] = values.integer("attention.key_length");
  if (architecture->model_type == "llama") config["attention_bias"] = facts.has_attention_bias;
  if (Json scaling = rope_scaling(values, facts); !scaling.is_null())
    config["rope_scaling"] = std::move(scaling);
  for (const auto& [key, name] : {std::pair{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                  {"tokenizer.ggml.eos_token_id", "eos_token_id"}}) {
    if (metadata.contains(key)) config[name] = metadata[key];
  }
  return config;
}

}  // namespace farthing::checkpoint::gguf
