// GPT-Neo: learned positions, scores that are not scaled, and layers with a window by turns.
#include "models/families.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

constexpr std::string_view kTypes = "attention_types";

// [[["global", "local"], 12]]: each list so many times.
std::vector<bool> local_layers(const Config& config, std::int64_t num_layers) {
  std::vector<bool> local;
  const auto add = [&](const Json& kinds, std::int64_t times) {
    config.require(kinds.is_array() && !kinds.empty() && times >= 0 && times <= num_layers, kTypes,
                   "attention_types should be lists of kinds with a count");
    for (std::int64_t i = 0; i < times; ++i)
      for (const Json& kind : kinds) {
        config.require(kind == "global" || kind == "local", kTypes, "a kind of attention is not known");
        local.push_back(kind == "local");
      }
  };
  if (config.has(kTypes)) {
    const Json& types = config.json()[kTypes];
    config.require(types.is_array(), kTypes, "attention_types should be lists of kinds with a count");
    for (const Json& item : types) {
      config.require(item.is_array() && item.size() == 2 && item[1].is_number_integer(), kTypes,
                     "attention_types should be lists of kinds with a count");
      add(item[0], item[1].get<std::int64_t>());
    }
  } else {
    add(Json{"global", "local"}, 12);
  }
  config.require(static_cast<std::int64_t>(local.size()) == num_layers, kTypes,
                 "attention_types does not name every layer");
  return local;
}

nn::BlockSpec gpt_neo_layer(const Config& config, std::int64_t hidden_size) {
  const std::string_view heads_key = config.spelling({"num_heads", "num_attention_heads"});
  const std::int64_t num_heads = config.size(heads_key, 16);
  const HeadCounts heads = checked_heads(config, heads_key, hidden_size, {num_heads, num_heads, 0});
  const std::int64_t width = config.size("intermediate_size", 4 * hidden_size);
  const double eps = config.number("layer_norm_epsilon", 1e-5);
  return {.class_name = "GPTNeoBlock",
          .attention_norm = layer_norm("ln_1", hidden_size, eps),
          .attention = {.name = "attn.attention",
                        .class_name = "GPTNeoSelfAttention",
                        .num_heads = heads.num_heads,
                        .num_key_value_heads = heads.num_heads,
                        .head_dim = heads.head_dim,
                        .inputs = {{"q_proj", hidden_size, hidden_size},
                                   {"k_proj", hidden_size, hidden_size},
                                   {"v_proj", hidden_size, hidden_size}},
                        .output = {"out_proj", hidden_size, hidden_size, true},
                        .scale = 1.0f},
          .mlp_norm = layer_norm("ln_2", hidden_size, eps),
          .mlp = {.name = "mlp",
                  .class_name = "GPTNeoMLP",
                  .activation = activation(config, "activation_function", "gelu_new"),
                  .up = {"c_fc", hidden_size, width, true},
                  .down = {"c_proj", width, hidden_size, true}}};
}

}  // namespace

nn::ModelSpec declare_gpt_neo(const Config& config) {
  const std::int64_t hidden_size = config.size("hidden_size", 2048);
  const std::int64_t num_layers = config.num_layers(config.spelling({"num_layers", "num_hidden_layers"}), 24);
  std::vector<nn::BlockSpec> blocks(static_cast<std::size_t>(num_layers), gpt_neo_layer(config, hidden_size));
  const std::vector<bool> local = local_layers(config, num_layers);
  for (std::size_t i = 0; i < blocks.size(); ++i)
    if (local[i]) blocks[i].attention.sliding_window = config.size("window_size", 256);
  return text_model(config, "gpt_neo", "GPTNeoForCausalLM",
                    {.path = "transformer",
                     .class_name = "GPTNeoModel",
                     .vocab_size = config.size("vocab_size", 50257),
                     .hidden_size = hidden_size,
                     .max_position_embeddings = config.size("max_position_embeddings", 2048),
                     .embed_tokens = "wte",
                     .embed_positions = "wpe",
                     .layers = "h",
                     .blocks = std::move(blocks),
                     .final_norm = layer_norm("ln_f", hidden_size, config.number("layer_norm_epsilon", 1e-5)),
                     .tie_word_embeddings = config.flag("tie_word_embeddings", true)});
}

}  // namespace farthing::models
