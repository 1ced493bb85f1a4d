#include "plan/gguf_metadata.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "models/tokenizer_files.h"

namespace farthing::plan {
namespace {

using checkpoint::gguf::Metadata;

constexpr std::uint32_t kQuantizationVersion = 2;  // of ggml's block formats

std::uint32_t count(std::int64_t value) {
  return static_cast<std::uint32_t>(value);
}

void add_rope_scaling(const nn::RopeSpec& rope, const std::string& prefix, Metadata& metadata) {
  using Scaling = nn::RopeSpec::Scaling;
  if (rope.scaling == Scaling::kNone || rope.scaling == Scaling::kLlama3) return;
  FARTHING_REQUIRE(rope.scaling == Scaling::kLinear || rope.scaling == Scaling::kYarn, Code::kUnsupported,
                   "llama.cpp has no word for this model's scaling of positions", {},
                   "use a safetensors format for this model");
  const bool yarn = rope.scaling == Scaling::kYarn;
  metadata.emplace_back(prefix + "rope.scaling.type", std::string(yarn ? "yarn" : "linear"));
  metadata.emplace_back(prefix + "rope.scaling.factor", static_cast<float>(rope.factor));
  if (yarn)
    metadata.emplace_back(prefix + "rope.scaling.original_context_length",
                          count(rope.original_max_position_embeddings));
}

// The block that the metadata describes: one without a window, where there are some.
const nn::AttentionSpec& attention_to_all(const nn::DecoderSpec& decoder) {
  const auto found = std::ranges::find_if(
      decoder.blocks, [](const nn::BlockSpec& block) { return block.attention.sliding_window == 0; });
  return (found == decoder.blocks.end() ? decoder.blocks.front() : *found).attention;
}

// After how many blocks the windows come again; 0 when they follow no rule of that kind.
std::int64_t period_of_windows(const nn::DecoderSpec& decoder) {
  const auto sees_all = [&](std::int64_t i) {
    return decoder.blocks[static_cast<std::size_t>(i)].attention.sliding_window == 0;
  };
  const auto blocks = static_cast<std::int64_t>(decoder.blocks.size());
  std::int64_t period = 1;
  while (period <= blocks && !sees_all(period - 1)) ++period;
  for (std::int64_t i = 0; i < blocks; ++i) {
    if (sees_all(i) != ((i + 1) % period == 0)) return 0;
  }
  return period;
}

void add_windows(const nn::DecoderSpec& decoder, const checkpoint::gguf::StoredArchitecture& architecture,
                 const std::string& prefix, Metadata& metadata, std::vector<Deviation>& deviations) {
  const auto windowed = std::ranges::find_if(
      decoder.blocks, [](const nn::BlockSpec& block) { return block.attention.sliding_window > 0; });
  if (windowed == decoder.blocks.end()) return;
  const std::int64_t window = windowed->attention.sliding_window;
  if (architecture.window_period == 0) {
    if (window >= decoder.max_position_embeddings) return;
    deviations.push_back(
        {decoder.path, fmt::format("its window of {} tokens is left out: llama.cpp attends to all", window)});
    return;
  }
  metadata.emplace_back(prefix + "attention.sliding_window", count(window));
  const std::int64_t period = period_of_windows(decoder);
  const auto blocks = static_cast<std::int64_t>(decoder.blocks.size());
  if (period == architecture.window_period || (period > blocks && architecture.window_period > blocks))
    return;
  FARTHING_REQUIRE(period > 0, Code::kUnsupported, "llama.cpp has no word for this order of windows",
                   {{"module", decoder.path}}, "use a safetensors format for this model");
  metadata.emplace_back(prefix + "attention.sliding_window_pattern", count(period));
  deviations.push_back(
      {decoder.path, fmt::format("every {}. block sees all tokens; releases of llama.cpp that "
                                 "do not read this take every {}.",
                                 period, architecture.window_period)});
}

// Queries are scaled by a rule of the architecture; what differs is noted in a key of its own.
void add_query_scale(const nn::DecoderSpec& decoder, const checkpoint::gguf::StoredArchitecture& architecture,
                     const std::string& prefix, Metadata& metadata, std::vector<Deviation>& deviations) {
  const nn::AttentionSpec& attention = decoder.blocks.front().attention;
  const bool is_largest = static_cast<std::int64_t>(decoder.blocks.size()) == architecture.layers_of_largest;
  const double divisor =
      is_largest ? static_cast<double>(decoder.hidden_size) / static_cast<double>(attention.num_heads)
                 : static_cast<double>(attention.head_dim);
  const double expected = 1 / std::sqrt(divisor);
  if (std::abs(attention.scale - expected) <= 1e-6 * expected) return;
  metadata.emplace_back(prefix + "attention.scale", attention.scale);
  deviations.push_back({decoder.path, fmt::format("scores are multiplied by {:.5f}, in llama.cpp by {:.5f}",
                                                  attention.scale, expected)});
}

void add_experts(const nn::MoeSpec& moe, const checkpoint::gguf::StoredArchitecture& architecture,
                 const std::string& prefix, Metadata& metadata, std::vector<Deviation>& deviations) {
  metadata.emplace_back(prefix + "expert_count", count(moe.num_experts));
  metadata.emplace_back(prefix + "expert_used_count", count(moe.num_experts_per_token));
  if (architecture.mixture == "mlp")
    metadata.emplace_back(prefix + "expert_feed_forward_length", count(moe.expert.down.in_features));
  if (moe.shared_expert) {
    metadata.emplace_back(prefix + "expert_shared_feed_forward_length",
                          count(moe.shared_expert->down.in_features));
  }
  if (moe.normalize_top_k == architecture.normalizes_experts) return;
  metadata.emplace_back(prefix + "expert_weights_norm", moe.normalize_top_k);
  deviations.push_back(
      {moe.name, fmt::format("the weights of chosen experts are {}normalized; llama.cpp does "
                             "the opposite",
                             moe.normalize_top_k ? "" : "not ")});
}

void add_role(const Json& config, const char* key, const char* stored, Metadata& metadata) {
  const auto found = config.find(key);
  if (found == config.end()) return;
  const Json& id = found->is_array() && !found->empty() ? found->front() : *found;
  if (id.is_number_integer() && id >= 0) metadata.emplace_back(stored, id.get<std::uint32_t>());
}

}  // namespace

Metadata model_metadata(const nn::ModelSpec& spec, const checkpoint::gguf::StoredArchitecture& architecture,
                        const std::string& name, std::uint32_t file_type,
                        std::vector<Deviation>& deviations) {
  const nn::DecoderSpec& decoder = spec.decoder;
  const nn::BlockSpec& block = decoder.blocks.front();
  const nn::AttentionSpec& attention = attention_to_all(decoder);
  FARTHING_CHECK(attention.rope.has_value(), "{} turns no positions", architecture.name);
  const std::string prefix = std::string(architecture.name) + ".";
  Metadata metadata = {{"general.architecture", std::string(architecture.name)},
                       {"general.type", std::string("model")},
                       {"general.name", name},
                       {"general.file_type", file_type},
                       {"general.quantization_version", kQuantizationVersion},
                       {prefix + "context_length", count(decoder.max_position_embeddings)},
                       {prefix + "embedding_length", count(decoder.hidden_size)},
                       {prefix + "block_count", count(static_cast<std::int64_t>(decoder.blocks.size()))},
                       {prefix + "feed_forward_length", count(block.mlp.down.in_features)},
                       {prefix + "attention.head_count", count(attention.num_heads)},
                       {prefix + "attention.head_count_kv", count(attention.num_key_value_heads)},
                       {prefix + "attention.layer_norm_rms_epsilon", block.attention_norm.eps},
                       {prefix + "vocab_size", count(decoder.vocab_size)},
                       {prefix + "rope.freq_base", static_cast<float>(attention.rope->theta)}};
  const std::int64_t rotary =
      attention.rope->rotary_dim > 0 ? attention.rope->rotary_dim : attention.head_dim;
  metadata.emplace_back(prefix + "rope.dimension_count", count(rotary));
  if (attention.head_dim * attention.num_heads != decoder.hidden_size) {
    metadata.emplace_back(prefix + "attention.key_length", count(attention.head_dim));
    metadata.emplace_back(prefix + "attention.value_length", count(attention.head_dim));
  }
  add_rope_scaling(*attention.rope, prefix, metadata);
  add_windows(decoder, architecture, prefix, metadata, deviations);
  if (block.moe) add_experts(*block.moe, architecture, prefix, metadata, deviations);
  if (architecture.norms_before_adding) {
    metadata.emplace_back(prefix + "attn_logit_softcapping", attention.softcap);
    metadata.emplace_back(prefix + "final_logit_softcapping", decoder.logit_softcap);
    add_query_scale(decoder, architecture, prefix, metadata, deviations);
  }
  return metadata;
}

Metadata tokenizer_metadata(const std::filesystem::path& model, const Json& config, std::int64_t vocab_size,
                            std::vector<Deviation>& deviations) {
  Metadata metadata;
  std::optional<tokenizer::GgmlVocabulary> vocabulary;
  try {
    vocabulary = models::ggml_vocabulary(model, vocab_size);
  } catch (const Error& error) {
    if (error.code() != Code::kNotFound) throw;
    deviations.push_back(
        {"tokenizer", "there is none, so the file holds none and llama.cpp cannot chat with it"});
    add_role(config, "bos_token_id", "tokenizer.ggml.bos_token_id", metadata);
    add_role(config, "eos_token_id", "tokenizer.ggml.eos_token_id", metadata);
    return metadata;
  }
  metadata.emplace_back("tokenizer.ggml.model", vocabulary->model);
  if (!vocabulary->pre.empty()) metadata.emplace_back("tokenizer.ggml.pre", vocabulary->pre);
  metadata.emplace_back("tokenizer.ggml.tokens", std::move(vocabulary->tokens));
  if (!vocabulary->scores.empty())
    metadata.emplace_back("tokenizer.ggml.scores", std::move(vocabulary->scores));
  metadata.emplace_back("tokenizer.ggml.token_type", std::move(vocabulary->types));
  if (!vocabulary->merges.empty())
    metadata.emplace_back("tokenizer.ggml.merges", std::move(vocabulary->merges));
  constexpr std::pair<std::string_view, const char*> kRoles[] = {
      {"bos_token", "tokenizer.ggml.bos_token_id"},
      {"eos_token", "tokenizer.ggml.eos_token_id"},
      {"unk_token", "tokenizer.ggml.unknown_token_id"},
      {"pad_token", "tokenizer.ggml.padding_token_id"}};
  for (const auto& [role, key] : kRoles) {
    if (const auto id = vocabulary->roles.find(role); id != vocabulary->roles.end())
      metadata.emplace_back(key, static_cast<std::uint32_t>(id->second));
  }
  if (vocabulary->add_bos) metadata.emplace_back("tokenizer.ggml.add_bos_token", *vocabulary->add_bos);
  if (vocabulary->add_eos) metadata.emplace_back("tokenizer.ggml.add_eos_token", *vocabulary->add_eos);
  if (vocabulary->add_space_prefix)
    metadata.emplace_back("tokenizer.ggml.add_space_prefix", *vocabulary->add_space_prefix);
  if (vocabulary->remove_extra_whitespaces)
    metadata.emplace_back("tokenizer.ggml.remove_extra_whitespaces", *vocabulary->remove_extra_whitespaces);
  if (!vocabulary->charsmap.empty()) {
    metadata.emplace_back(
        "tokenizer.ggml.precompiled_charsmap",
        std::vector<std::uint8_t>(vocabulary->charsmap.begin(), vocabulary->charsmap.end()));
  }
  if (const auto chat = models::open_chat_template(model))
    metadata.emplace_back("tokenizer.chat_template", chat->source());
  return metadata;
}

std::vector<float> rope_factors(const nn::ModelSpec& spec) {
  const nn::AttentionSpec& attention = spec.decoder.blocks.front().attention;
  if (!attention.rope || attention.rope->scaling != nn::RopeSpec::Scaling::kLlama3) return {};
  const nn::RopeSpec& rope = *attention.rope;
  const auto rotary = static_cast<double>(rope.rotary_dim > 0 ? rope.rotary_dim : attention.head_dim);
  const auto original = static_cast<double>(rope.original_max_position_embeddings);
  const double shortest = original / rope.high_freq_factor, longest = original / rope.low_freq_factor;
  std::vector<float> factors;
  for (double pair = 0; 2 * pair < rotary; ++pair) {
    const double wavelength = 2 * std::numbers::pi * std::pow(rope.theta, 2 * pair / rotary);
    double factor = rope.factor;
    if (wavelength < shortest) {
      factor = 1;
    } else if (wavelength <= longest) {
      const double smooth =
          (original / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
      factor = 1 / ((1 - smooth) / rope.factor + smooth);
    }
    factors.push_back(static_cast<float>(factor));
  }
  return factors;
}

}  // namespace farthing::plan
