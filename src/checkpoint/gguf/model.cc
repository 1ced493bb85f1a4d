#include "checkpoint/gguf/model.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/error.h"

namespace farthing::checkpoint::gguf {
namespace {

struct Architecture {
  StoredArchitecture stored;
  std::string_view model_type;  // config.json
  std::string_view class_name;  // config.json: architectures
};

constexpr Architecture kArchitectures[] = {
    {{.name = "llama", .interleaves_rows = true}, "llama", "LlamaForCausalLM"},
    {{.name = "llama", .interleaves_rows = true, .mixture = "block_sparse_moe"},
     "mixtral",
     "MixtralForCausalLM"},
    {{.name = "qwen2"}, "qwen2", "Qwen2ForCausalLM"},
    {{.name = "qwen2moe", .mixture = "mlp", .normalizes_experts = false}, "qwen2_moe", "Qwen2MoeForCausalLM"},
    {{.name = "qwen3"}, "qwen3", "Qwen3ForCausalLM"},
    {{.name = "qwen3moe", .mixture = "mlp"}, "qwen3_moe", "Qwen3MoeForCausalLM"},
    {{.name = "gemma", .norms_hold_factors = true}, "gemma", "GemmaForCausalLM"},
    {{.name = "gemma2",
      .norms_before_adding = true,
      .norms_hold_factors = true,
      .window_period = 2,
      .layers_of_largest = 46},
     "gemma2",
     "Gemma2ForCausalLM"},
    {{.name = "gemma3",
      .norms_before_adding = true,
      .norms_hold_factors = true,
      .window_period = 6,
      .layers_of_largest = 62},
     "gemma3_text",
     "Gemma3ForCausalLM"},
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

// What comes before these where branches have norms at both ends.
constexpr std::pair<std::string_view, std::string_view> kOfNormedBranches[] = {
    {"post_attention_norm.", "post_attention_layernorm."},
    {"ffn_norm.", "pre_feedforward_layernorm."},
    {"post_ffw_norm.", "post_feedforward_layernorm."}};

constexpr std::pair<std::string_view, std::string_view> kOfSharedExpert[] = {
    {"ffn_gate_inp_shexp.", "mlp.shared_expert_gate."},
    {"ffn_gate_shexp.", "mlp.shared_expert.gate_proj."},
    {"ffn_up_shexp.", "mlp.shared_expert.up_proj."},
    {"ffn_down_shexp.", "mlp.shared_expert.down_proj."}};

// Stacks, and the linears of an expert as Mixtral and all others call them.
struct ExpertLinear {
  std::string_view stack, mixtral, others;
};
constexpr ExpertLinear kExpertLinears[] = {{"ffn_gate_exps", "w1", "gate_proj"},
                                           {"ffn_up_exps", "w3", "up_proj"},
                                           {"ffn_down_exps", "w2", "down_proj"}};

std::string_view linear_name(const ExpertLinear& linear, const StoredArchitecture& architecture) {
  return architecture.mixture == "mlp" ? linear.others : linear.mixtral;
}

// A llama with experts is another family to Hugging Face.
bool has_experts(const Json& metadata, std::string_view name) {
  const auto count = metadata.find(fmt::format("{}.expert_count", name));
  return count != metadata.end() && count->is_number_integer() && *count > 0;
}

const Architecture* find_architecture(const Json& metadata) {
  const auto found = metadata.find("general.architecture");
  if (found == metadata.end() || !found->is_string()) return nullptr;
  for (const Architecture& known : kArchitectures) {
    const std::string_view name = known.stored.name;
    if (name == found->get_ref<const std::string&>() &&
        known.stored.mixture.empty() != has_experts(metadata, name))
      return &known;
  }
  return nullptr;
}

std::vector<std::string_view> architecture_names() {
  std::vector<std::string_view> names;
  for (const Architecture& known : kArchitectures) {
    if (names.empty() || names.back() != known.stored.name) names.push_back(known.stored.name);
  }
  return names;
}

std::vector<std::pair<std::string_view, std::string_view>> pairs_of_block(
    const StoredArchitecture& architecture) {
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  if (!architecture.mixture.empty()) {
    pairs.assign(std::begin(kOfSharedExpert), std::end(kOfSharedExpert));
    pairs.emplace_back("ffn_gate_inp.",
                       architecture.mixture == "mlp" ? "mlp.gate." : "block_sparse_moe.gate.");
  }
  if (architecture.norms_before_adding)
    pairs.assign(std::begin(kOfNormedBranches), std::end(kOfNormedBranches));
  pairs.insert(pairs.end(), std::begin(kOfBlock), std::end(kOfBlock));
  return pairs;
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

constexpr std::int64_t kMostLayers = 65536;

// What Gemma has beside a llama: GELU, and from the second on windows, caps and a scale of queries of their
// own.
void add_gemma(const Values& values, const StoredArchitecture& architecture, Json& config) {
  config.erase("hidden_act");
  config["hidden_activation"] = config["hidden_act"] = "gelu_pytorch_tanh";
  if (!config.contains("head_dim")) config["head_dim"] = 256;
  if (architecture.window_period == 0) return;
  const std::int64_t heads = config["num_attention_heads"], layers = config["num_hidden_layers"];
  const std::int64_t hidden = config["hidden_size"], head_dim = config["head_dim"];
  const double divisor = layers == architecture.layers_of_largest && heads > 0
                             ? static_cast<double>(hidden) / static_cast<double>(heads)
                             : static_cast<double>(head_dim);
  const double scale = values.number("attention.scale", 0);
  config["query_pre_attn_scalar"] = scale > 0 ? 1 / (scale * scale) : divisor;
  config["sliding_window"] = values.integer("attention.sliding_window", 4096);
  const Json* pattern = values.find("attention.sliding_window_pattern");
  const std::int64_t period = pattern != nullptr && pattern->is_number_integer()
                                  ? pattern->get<std::int64_t>()
                                  : architecture.window_period;
  Json types = Json::array();
  for (std::int64_t i = 1; i <= std::min<std::int64_t>(layers, kMostLayers); ++i)
    types.push_back(period > 0 && i % period != 0 ? "sliding_attention" : "full_attention");
  config["layer_types"] = std::move(types);
  if (values.find("attn_logit_softcapping") != nullptr)
    config["attn_logit_softcapping"] = values.number("attn_logit_softcapping");
  if (values.find("final_logit_softcapping") != nullptr)
    config["final_logit_softcapping"] = values.number("final_logit_softcapping");
  config["rope_local_base_freq"] = values.number("rope.freq_base_swa", 10000.0);
}

void add_experts(const Values& values, const StoredArchitecture& architecture, Json& config) {
  config["num_experts"] = config["num_local_experts"] = values.integer("expert_count");
  config["num_experts_per_tok"] = values.integer("expert_used_count");
  const Json* normalizes = values.find("expert_weights_norm");
  config["norm_topk_prob"] = normalizes != nullptr && normalizes->is_boolean()
                                 ? normalizes->get<bool>()
                                 : architecture.normalizes_experts;
  if (architecture.mixture != "mlp") return;
  config["moe_intermediate_size"] = values.integer("expert_feed_forward_length");
  if (values.find("expert_shared_feed_forward_length") != nullptr)
    config["shared_expert_intermediate_size"] = values.integer("expert_shared_feed_forward_length");
}

// What was written before it became a float: 1e-05 rather than 9.999999747378752e-06.
double shortest(double value) {
  return std::stod(fmt::format("{}", static_cast<float>(value)));
}

}  // namespace

std::optional<std::string> tensor_name(const Json& metadata, std::string_view name) {
  if (name.starts_with("rope_freqs.")) return std::nullopt;
  for (const auto& [from, to] : kWhole) {
    if (name.starts_with(from)) return fmt::format("{}{}", to, name.substr(from.size()));
  }
  constexpr std::string_view kBlock = "blk.";
  const std::size_t dot = name.find('.', kBlock.size());
  if (!name.starts_with(kBlock) || dot == std::string_view::npos) return std::string(name);
  const std::string_view index = name.substr(kBlock.size(), dot - kBlock.size());
  const std::string_view rest = name.substr(dot + 1);
  const Architecture* architecture = find_architecture(metadata);
  for (const auto& [from, to] :
       pairs_of_block(architecture != nullptr ? architecture->stored : StoredArchitecture{})) {
    if (rest.starts_with(from))
      return fmt::format("model.layers.{}.{}{}", index, to, rest.substr(from.size()));
  }
  return std::string(name);
}

std::optional<std::string> stored_name(const StoredArchitecture& architecture, std::string_view name) {
  for (const auto& [to, from] : kWhole) {
    if (name.starts_with(from)) return fmt::format("{}{}", to, name.substr(from.size()));
  }
  constexpr std::string_view kLayers = "model.layers.";
  const std::size_t dot = name.find('.', kLayers.size());
  if (!name.starts_with(kLayers) || dot == std::string_view::npos) return std::nullopt;
  const std::string_view index = name.substr(kLayers.size(), dot - kLayers.size());
  const std::string_view rest = name.substr(dot + 1);
  for (const auto& [to, from] : pairs_of_block(architecture)) {
    if (rest.starts_with(from)) return fmt::format("blk.{}.{}{}", index, to, rest.substr(from.size()));
  }
  return std::nullopt;
}

std::optional<StackedExpert> stacked_expert(const StoredArchitecture& architecture, std::string_view name) {
  constexpr std::string_view kLayers = "model.layers.", kWeight = ".weight";
  const std::string experts = fmt::format(".{}.experts.", architecture.mixture);
  const std::size_t at = name.find(experts);
  if (architecture.mixture.empty() || !name.starts_with(kLayers) || !name.ends_with(kWeight) ||
      at == std::string_view::npos)
    return std::nullopt;
  const std::string_view index = name.substr(kLayers.size(), at - kLayers.size());
  std::string_view rest = name.substr(at + experts.size());
  std::int64_t expert = 0;
  const auto [end, problem] = std::from_chars(rest.data(), rest.data() + rest.size(), expert);
  if (problem != std::errc()) return std::nullopt;
  rest = rest.substr(static_cast<std::size_t>(end - rest.data()));
  for (const ExpertLinear& linear : kExpertLinears) {
    if (rest == fmt::format(".{}{}", linear_name(linear, architecture), kWeight))
      return StackedExpert{fmt::format("blk.{}.{}{}", index, linear.stack, kWeight), expert};
  }
  return std::nullopt;
}

std::vector<std::string> names_of_experts(const Json& metadata, std::string_view stored_name,
                                          std::int64_t experts) {
  const Architecture* architecture = find_architecture(metadata);
  if (architecture == nullptr || architecture->stored.mixture.empty()) return {};
  constexpr std::string_view kBlock = "blk.";
  for (const ExpertLinear& linear : kExpertLinears) {
    const std::string ending = fmt::format(".{}.weight", linear.stack);
    if (!stored_name.starts_with(kBlock) || !stored_name.ends_with(ending)) continue;
    const std::string_view index =
        stored_name.substr(kBlock.size(), stored_name.size() - kBlock.size() - ending.size());
    std::vector<std::string> names;
    for (std::int64_t expert = 0; expert < experts; ++expert)
      names.push_back(fmt::format("model.layers.{}.{}.experts.{}.{}.weight", index,
                                  architecture->stored.mixture, expert,
                                  linear_name(linear, architecture->stored)));
    return names;
  }
  return {};
}

bool holds_factors(const StoredArchitecture& architecture, std::string_view stored_name) {
  return architecture.norms_hold_factors && stored_name.ends_with("norm.weight");
}

bool holds_factors(const Json& metadata, std::string_view stored_name) {
  const Architecture* architecture = find_architecture(metadata);
  return architecture != nullptr && holds_factors(architecture->stored, stored_name);
}

std::optional<StoredArchitecture> stored_architecture(std::string_view model_type) {
  for (const auto& [type, same] : kSameAs) {
    if (type == model_type) model_type = same;
  }
  for (const Architecture& known : kArchitectures) {
    if (known.model_type == model_type) return known.stored;
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
  if (architecture == nullptr || !architecture->stored.interleaves_rows) return 0;
  const bool query = name.find(".attn_q.") != std::string_view::npos;
  if (!query && name.find(".attn_k.") == std::string_view::npos) return 0;
  const Values values(metadata, std::string(architecture->stored.name), "");
  const std::int64_t heads = values.integer("attention.head_count", 0);
  return query ? heads : values.integer("attention.head_count_kv", heads);
}

Json model_config(const Json& metadata, const ModelFacts& facts, const std::string& file) {
  const Architecture* architecture = find_architecture(metadata);
  FARTHING_REQUIRE(
      architecture != nullptr, Code::kUnsupported, "this architecture of GGUF is not read",
      {{"file", file}, {"general.architecture", metadata.value("general.architecture", Json()).dump()}},
      fmt::format("known ones are {}", fmt::join(architecture_names(), ", ")));
  const Values values(metadata, std::string(architecture->stored.name), file);
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
  if (!architecture->stored.mixture.empty()) add_experts(values, architecture->stored, config);
  if (architecture->stored.norms_hold_factors) add_gemma(values, architecture->stored, config);
  for (const auto& [key, name] : {std::pair{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                  {"tokenizer.ggml.eos_token_id", "eos_token_id"}}) {
    if (metadata.contains(key)) config[name] = metadata[key];
  }
  return config;
}

}  // namespace farthing::checkpoint::gguf
