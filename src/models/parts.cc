#include "models/parts.h"

#include "base/error.h"
#include "models/family.h"

namespace farthing::models {

nn::NormSpec rms_norm(std::string name, std::int64_t size, double eps, float weight_offset) {
  return {.kind = nn::NormSpec::Kind::kRms,
          .name = std::move(name),
          .size = size,
          .eps = static_cast<float>(eps),
          .weight_offset = weight_offset};
}

nn::NormSpec layer_norm(std::string name, std::int64_t size, double eps, bool bias) {
  return {.kind = nn::NormSpec::Kind::kLayer,
          .name = std::move(name),
          .size = size,
          .eps = static_cast<float>(eps),
          .bias = bias};
}

nn::Activation activation(const Config& config, std::string_view key, std::string_view fallback) {
  using nn::Activation;
  static constexpr std::pair<std::string_view, Activation> kNames[] = {
      {"gelu", Activation::kGelu},
      {"gelu_python", Activation::kGelu},
      {"gelu_new", Activation::kGeluTanh},
      {"gelu_fast", Activation::kGeluTanh},
      {"gelu_pytorch_tanh", Activation::kGeluTanh},
      {"quick_gelu", Activation::kQuickGelu},
      {"silu", Activation::kSilu},
      {"swish", Activation::kSilu},
      {"relu", Activation::kRelu},
      {"relu2", Activation::kReluSquared},
  };
  const std::string name = config.text(key, fallback);
  for (const auto& [known, value] : kNames)
    if (name == known) return value;
  throw Error(Code::kUnsupported, "the activation is not known",
              {{"file", config.origin()}, {"key", std::string(key)}, {"value", name}},
              "known: gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, silu, relu, relu2");
}

HeadCounts head_counts(const Config& config, std::int64_t hidden_size, std::int64_t default_heads,
                       std::int64_t default_key_value_heads, std::int64_t default_head_dim) {
  HeadCounts counts{};
  counts.num_heads = config.size("num_attention_heads", default_heads);
  // An explicit null means as many as heads, whatever the class assumes of a missing key.
  const bool as_many = default_key_value_heads == 0 || config.mentions("num_key_value_heads");
  counts.num_key_value_heads =
      config.size("num_key_value_heads", as_many ? counts.num_heads : default_key_value_heads);
  if (config.has("head_dim") || default_head_dim != 0)
    counts.head_dim = config.size("head_dim", default_head_dim);
  return checked_heads(config, "num_attention_heads", hidden_size, counts);
}

HeadCounts checked_heads(const Config& config, std::string_view key, std::int64_t hidden_size,
                         HeadCounts counts) {
  if (counts.head_dim == 0) {
    config.require(hidden_size % counts.num_heads == 0, key,
                   "the hidden size is not divisible by the number of heads");
    counts.head_dim = hidden_size / counts.num_heads;
  }
  config.require(
      counts.num_key_value_heads <= counts.num_heads && counts.num_heads % counts.num_key_value_heads == 0,
      key, "the number of heads is not divisible by the number of key-value heads");
  return counts;
}

std::int64_t sliding_window(const Config& config, std::int64_t fallback) {
  if (!config.mentions("sliding_window")) return fallback;
  const std::int64_t window = config.integer("sliding_window", 0);
  config.require(window >= 0, "sliding_window", "the sliding window is negative");
  return window;
}

std::vector<bool> sliding_layers(const Config& config, std::int64_t num_layers,
                                 const std::function<bool(std::int64_t layer)>& is_sliding) {
  std::vector<bool> result;
  if (!config.has("layer_types")) {
    for (std::int64_t i = 0; i < num_layers; ++i) result.push_back(is_sliding(i));
    return result;
  }
  const Json& types = config.json()["layer_types"];
  config.require(types.is_array() && static_cast<std::int64_t>(types.size()) >= num_layers, "layer_types",
                 "layer_types does not name every layer");
  for (std::int64_t i = 0; i < num_layers; ++i) {
    const Json& type = types[static_cast<std::size_t>(i)];
    config.require(type == "full_attention" || type == "sliding_attention", "layer_types",
                   "a layer has a kind of attention that is not known");
    result.push_back(type == "sliding_attention");
  }
  return result;
}

void set_qwen_windows(const Config& config, std::vector<nn::BlockSpec>& blocks, std::int64_t default_first) {
  if (!config.flag("use_sliding_window", false)) return;
  const std::int64_t first = config.integer("max_window_layers", default_first);
  const std::vector<bool> sliding = sliding_layers(config, static_cast<std::int64_t>(blocks.size()),
                                                   [&](std::int64_t layer) { return layer >= first; });
  for (std::size_t i = 0; i < blocks.size(); ++i)
    blocks[i].attention.sliding_window = sliding[i] ? sliding_window(config, 4096) : 0;
}

nn::MlpSpec gated_mlp(std::string name, std::string class_name, nn::Activation activation,
                      std::int64_t hidden_size, std::int64_t width) {
  return {.name = std::move(name),
          .class_name = std::move(class_name),
          .activation = activation,
          .gate = nn::LinearSpec{"gate_proj", hidden_size, width},
          .up = {"up_proj", hidden_size, width},
          .down = {"down_proj", width, hidden_size}};
}

std::int64_t square_size(const Config& config, std::string_view key, std::int64_t fallback) {
  if (!config.has(key) || !config.json()[key].is_array()) return config.size(key, fallback);
  const std::vector<std::int64_t> sides = config.integers(key, {});
  config.require(sides.size() == 2 && sides[0] == sides[1] && sides[0] >= 1 && sides[0] <= 1 << 30, key,
                 "pictures and patches should be square");
  return sides[0];
}

void check_patches(const Config& config, const nn::VisionSpec& vision) {
  constexpr std::int64_t kLargestSide = 1 << 14;
  config.require(vision.num_channels <= 16, "num_channels",
                 "a size in the model configuration is out of range");
  config.require(vision.image_size <= kLargestSide && vision.patch_size <= vision.image_size, "patch_size",
                 "the picture and its patches do not fit together");
}

nn::DecoderSpec composite_decoder(const Config& config, std::string_view default_model_type,
                                  std::string path) {
  const Config text = config.child("text_config");
  nn::DecoderSpec decoder = declare_decoder(text, default_model_type, std::move(path), "lm_head");
  decoder.tie_word_embeddings = config.flag("tie_word_embeddings", decoder.tie_word_embeddings);
  return decoder;
}

std::vector<nn::NameRule> composite_names(const std::string& vision, const std::string& projector) {
  return {{"model." + vision + ".vision_model.", "model." + vision + "."},
          {vision + ".vision_model.", "model." + vision + "."},
          {vision + ".", "model." + vision + "."},
          {projector + ".", "model." + projector + "."},
          {"language_model.model.", "model.language_model."},
          {"language_model.lm_head", "lm_head"}};
}

std::vector<std::string> buffers() {
  return {R"(.*\.rotary_emb\.inv_freq)", R"(.*\.(attn|attention)\.(masked_)?bias)",
          R"(.*\.embeddings\.position_ids)", R"(.*\.[kvq]_(scale|zero_point))"};
}

nn::ModelSpec text_model(const Config& config, std::string family, std::string default_architecture,
                         nn::DecoderSpec decoder) {
  nn::ModelSpec model;
  model.family = std::move(family);
  model.architecture = std::move(default_architecture);
  if (config.has("architectures")) {
    const Json& names = config.json()["architectures"];
    config.require(names.is_array() && !names.empty() && names[0].is_string(), "architectures",
                   "architectures should be a list of class names");
    model.architecture = names[0].get<std::string>();
  }
  model.ignored_tensors = buffers();
  model.default_ignore = {decoder.lm_head};
  model.sequential_targets = {decoder.blocks.front().class_name};
  model.decoder = std::move(decoder);
  return model;
}

}  // namespace farthing::models
