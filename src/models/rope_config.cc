#include "models/rope_config.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace farthing::models {
namespace {

using Scaling = nn::RopeSpec::Scaling;

bool is_nested(const Json& block) {
  return std::any_of(block.begin(), block.end(), [](const Json& value) { return value.is_object(); });
}

// The block that holds the scaling, whatever the file calls it.
Config scaling_block(const Config& config, const RopeDefaults& defaults, std::string_view layer_type) {
  if (!config.has("rope_parameters"))
    return defaults.scaled ? config.child("rope_scaling") : Config(Json::object(), config.origin());
  Config parameters = config.child("rope_parameters");
  if (!is_nested(parameters.json())) return parameters;
  parameters.require(parameters.has(layer_type), layer_type, "rope_parameters lacks a kind of layer");
  return parameters.child(layer_type);
}

double positive(const Config& block, std::string_view key, std::optional<double> fallback = {}) {
  const double value = block.number(key, fallback);
  block.require(value > 0.0, key, "a rope parameter should be positive");
  return value;
}

std::optional<double> optional_number(const Config& block, std::string_view key) {
  if (!block.has(key)) return std::nullopt;
  return block.number(key);
}

std::vector<double> stretch_factors(const Config& block, std::string_view key, std::int64_t rotary_dim) {
  block.require(block.has(key) && block.json()[key].is_array(), key, "longrope needs a list of factors");
  std::vector<double> factors;
  for (const Json& value : block.json()[key]) {
    block.require(value.is_number() && value.get<double>() > 0.0, key,
                  "a longrope factor should be positive");
    factors.push_back(value.get<double>());
  }
  block.require(static_cast<std::int64_t>(factors.size()) == rotary_dim / 2, key,
                "longrope needs one factor for every pair of rotated elements");
  return factors;
}

std::vector<std::int64_t> mrope_section(const Config& block, std::int64_t rotary_dim) {
  constexpr std::string_view kKey = "mrope_section";
  std::vector<std::int64_t> section;
  if (!block.has(kKey)) return section;
  block.require(block.json()[kKey].is_array(), kKey, "mrope_section should be a list of counts");
  std::int64_t sum = 0;
  for (const Json& value : block.json()[kKey]) {
    block.require(value.is_number_integer() && value.get<std::int64_t>() >= 0 &&
                      value.get<std::int64_t>() <= rotary_dim,
                  kKey, "mrope_section should be a list of counts");
    section.push_back(value.get<std::int64_t>());
    sum += section.back();
  }
  block.require(sum == rotary_dim / 2, kKey, "mrope_section does not cover the head");
  return section;
}

void read_yarn(const Config& block, nn::RopeSpec& rope) {
  rope.beta_fast = positive(block, "beta_fast", 32.0);
  rope.beta_slow = positive(block, "beta_slow", 1.0);
  rope.truncate = block.flag("truncate", true);
  rope.attention_factor = optional_number(block, "attention_factor");
  rope.mscale = optional_number(block, "mscale");
  rope.mscale_all_dim = optional_number(block, "mscale_all_dim");
}

void read_llama3(const Config& block, nn::RopeSpec& rope) {
  rope.low_freq_factor = positive(block, "low_freq_factor", 1.0);
  rope.high_freq_factor = positive(block, "high_freq_factor", 4.0);
  block.require(rope.low_freq_factor < rope.high_freq_factor, "high_freq_factor",
                "high_freq_factor should be larger than low_freq_factor");
}

void read_longrope(const Config& block, nn::RopeSpec& rope) {
  rope.short_factor = stretch_factors(block, "short_factor", rope.rotary_dim);
  rope.long_factor = stretch_factors(block, "long_factor", rope.rotary_dim);
  rope.attention_factor = optional_number(block, "attention_factor");
}

Scaling scaling_named(const Config& block, const std::string& name) {
  static constexpr std::pair<std::string_view, Scaling> kNames[] = {
      {"default", Scaling::kNone},  {"mrope", Scaling::kNone},        {"ntk", Scaling::kNone},
      {"linear", Scaling::kLinear}, {"dynamic", Scaling::kDynamic},   {"yarn", Scaling::kYarn},
      {"llama3", Scaling::kLlama3}, {"longrope", Scaling::kLongRope}, {"su", Scaling::kLongRope},
  };
  for (const auto& [known, value] : kNames)
    if (name == known) return value;
  throw Error(Code::kUnsupported, "the rope scaling is not known",
              {{"file", block.origin()}, {"rope_type", name}},
              "known: default, linear, dynamic, ntk, yarn, llama3, longrope");
}

// The factor, and the length that it extends: the scaled kinds need at least one of factor and original
// length.
void read_lengths(const Config& config, const Config& block, nn::RopeSpec& rope) {
  constexpr std::string_view kOriginal = "original_max_position_embeddings";
  // Phi 3 has it beside the block, where it goes before.
  const std::int64_t original = block.has(kOriginal) ? block.size(kOriginal) : rope.max_position_embeddings;
  rope.original_max_position_embeddings = config.has(kOriginal) ? config.size(kOriginal) : original;
  const bool ratio = rope.scaling == Scaling::kYarn || rope.scaling == Scaling::kLongRope;
  config.require(rope.original_max_position_embeddings >= 1, kOriginal,
                 "rope scaling needs the original length");
  std::optional<double> fallback;
  if (ratio)
    fallback = static_cast<double>(rope.max_position_embeddings) /
               static_cast<double>(rope.original_max_position_embeddings);
  rope.factor = positive(block, "factor", fallback);
}

}  // namespace

nn::RopeSpec rope_config(const Config& config, std::int64_t head_dim, const RopeDefaults& defaults,
                         std::string_view layer_type) {
  const Config block = scaling_block(config, defaults, layer_type);
  nn::RopeSpec rope;
  rope.theta = positive(block.has("rope_theta") ? block : config,
                        block.has("rope_theta") ? "rope_theta" : defaults.theta_key, defaults.theta);
  const bool partial_inside = block.has("partial_rotary_factor");
  const double partial = positive(partial_inside ? block : config,
                                  partial_inside ? "partial_rotary_factor" : defaults.partial_key,
                                  defaults.partial_rotary_factor);
  rope.rotary_dim = static_cast<std::int64_t>(static_cast<double>(head_dim) * std::min(partial, 2.0));
  config.require(rope.rotary_dim >= 2 && rope.rotary_dim <= head_dim && rope.rotary_dim % 2 == 0,
                 partial_inside ? "rope_parameters" : defaults.partial_key,
                 "the rotated part of a head should be an even number of elements within it");
  rope.max_position_embeddings = config.integer("max_position_embeddings", defaults.max_position_embeddings);
  rope.axis_sections = mrope_section(block, rope.rotary_dim);

  rope.interleaved_axes = block.flag("mrope_interleaved", false);

  const std::string name = block.text("rope_type", block.text("type", "default"));
  rope.scaling = scaling_named(block, name);
  if (name == "ntk") {
    block.require(rope.rotary_dim > 2, "rope_type", "ntk scaling needs more than one pair");
    const double dim = static_cast<double>(rope.rotary_dim);
    rope.theta *= std::pow(positive(block, "factor"), dim / (dim - 2.0));
  }
  if (rope.scaling == Scaling::kNone) return rope;
  read_lengths(config, block, rope);
  if (rope.scaling == Scaling::kDynamic)
    block.require(rope.rotary_dim > 2 && rope.factor >= 1.0 && rope.max_position_embeddings > 0, "factor",
                  "dynamic scaling needs a factor of at least 1, a context length and more than one pair");
  block.require(rope.theta > 1.0, "rope_theta", "the base of the rotation should be larger than 1");
  if (rope.scaling == Scaling::kYarn) read_yarn(block, rope);
  if (rope.scaling == Scaling::kLlama3) read_llama3(block, rope);
  if (rope.scaling == Scaling::kLongRope) read_longrope(block, rope);
  return rope;
}

Config with_default_scaling(const Config& config, Json scaling) {
  if (config.has("rope_parameters") || config.has("rope_scaling")) return config;
  Json values = config.json();
  values["rope_parameters"] = std::move(scaling);
  return Config(std::move(values), config.origin());
}

}  // namespace farthing::models
