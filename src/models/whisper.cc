// Whisper: an encoder of sounds, and a decoder that attends to its states and to its own text.
#include "models/whisper.h"

#include "models/families.h"
#include "models/parts.h"

namespace farthing::models {
namespace {

constexpr double kWhisperEps = 1e-5;  // not configurable in the reference

nn::AttentionSpec whisper_attention(const Config& config, std::string_view heads_key,
                                    std::int64_t default_heads, std::int64_t hidden_size,
                                    const std::string& name, const std::string& class_prefix) {
  const HeadCounts heads =
      checked_heads(config, heads_key, hidden_size,
                    {.num_heads = config.size(heads_key, default_heads), .num_key_value_heads = 1});
  return {.name = name,
          .class_name = class_prefix + "Attention",
          .num_heads = heads.num_heads,
          .num_key_value_heads = heads.num_heads,
          .head_dim = heads.head_dim,
          .inputs = {{"q_proj", hidden_size, hidden_size, true},
                     {"k_proj", hidden_size, hidden_size, false},
                     {"v_proj", hidden_size, hidden_size, true}},
          .output = {"out_proj", hidden_size, hidden_size, true}};
}

// Both kinds of layer have their linears of the feed-forward part as children of their own.
nn::BlockSpec whisper_layer(const Config& config, const std::string& class_name, std::int64_t hidden_size,
                            std::int64_t width) {
  return {.class_name = class_name,
          .attention_norm = layer_norm("self_attn_layer_norm", hidden_size, kWhisperEps),
          .mlp_norm = layer_norm("final_layer_norm", hidden_size, kWhisperEps),
          .mlp = {.class_name = class_name,
                  .activation = activation(config, "activation_function", "gelu"),
                  .up = {"fc1", hidden_size, width, true},
                  .down = {"fc2", width, hidden_size, true}}};
}

nn::DecoderSpec whisper_decoder(const Config& config, std::int64_t hidden_size) {
  constexpr std::string_view kHeads = "decoder_attention_heads";
  nn::BlockSpec block =
      whisper_layer(config, "WhisperDecoderLayer", hidden_size, config.size("decoder_ffn_dim", 1536));
  block.attention = whisper_attention(config, kHeads, 6, hidden_size, "self_attn", "Whisper");
  block.cross_attention_norm = layer_norm("encoder_attn_layer_norm", hidden_size, kWhisperEps);
  block.cross_attention = whisper_attention(config, kHeads, 6, hidden_size, "encoder_attn", "Whisper");
  block.cross_attention->cross = true;
  block.cross_attention->causal = false;
  const std::int64_t layers = config.num_layers("decoder_layers", 4);
  return {.path = "model.decoder",
          .class_name = "WhisperDecoder",
          .vocab_size = config.size("vocab_size", 51865),
          .hidden_size = hidden_size,
          .max_position_embeddings = config.size("max_target_positions", 448),
          .embed_positions = "embed_positions",
          .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(layers), block),
          .final_norm = layer_norm("layer_norm", hidden_size, kWhisperEps),
          .lm_head = "proj_out",
          .tie_word_embeddings = config.flag("tie_word_embeddings", true)};
}

}  // namespace

nn::AudioSpec whisper_tower(const Config& config, const WhisperTowerDefaults& defaults, std::string path) {
  const std::int64_t hidden_size = config.size("d_model", defaults.hidden_size);
  const std::string& prefix = defaults.class_prefix;
  nn::BlockSpec block = whisper_layer(config, prefix + "EncoderLayer", hidden_size,
                                      config.size("encoder_ffn_dim", defaults.intermediate_size));
  block.attention = whisper_attention(config, "encoder_attention_heads", defaults.num_heads, hidden_size,
                                      "self_attn", prefix);
  block.attention.causal = false;
  const std::int64_t layers = config.num_layers("encoder_layers", defaults.num_layers);
  nn::AudioSpec audio{.path = std::move(path),
                      .class_name = prefix + "Encoder",
                      .hidden_size = hidden_size,
                      .num_mel_bins = config.size("num_mel_bins", defaults.num_mel_bins),
                      .max_positions = config.size("max_source_positions", 1500),
                      .blocks = std::vector<nn::BlockSpec>(static_cast<std::size_t>(layers), block),
                      .post_norm = layer_norm("layer_norm", hidden_size, kWhisperEps)};
  config.require(audio.num_mel_bins <= 1024 && audio.max_positions <= 1 << 16, "max_source_positions",
                 "a size in the model configuration is out of range");
  return audio;
}

nn::ModelSpec declare_whisper(const Config& config) {
  const std::int64_t hidden_size = config.size("d_model", 384);
  nn::ModelSpec model =
      text_model(config, "whisper", "WhisperForConditionalGeneration", whisper_decoder(config, hidden_size));
  model.audio = whisper_tower(config,
                              {.class_prefix = "Whisper",
                               .hidden_size = 384,
                               .intermediate_size = 1536,
                               .num_layers = 4,
                               .num_heads = 6,
                               .num_mel_bins = 80},
                              "model.encoder");
  // The vocabulary of the English models is smaller, and has no languages.
  model.default_prompt = model.decoder.vocab_size < 51865
                             ? "<|startoftranscript|><|notimestamps|>"
                             : "<|startoftranscript|><|en|><|transcribe|><|notimestamps|>";
  return model;
}

}  // namespace farthing::models
