// Schemes: what happens to the weights, inputs and outputs of a linear. The named ones ("W4A16") are those of
// compressed-tensors, so that recipes and checkpoints mean the same thing here.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scheme/quantization_args.h"

namespace farthing::scheme {

struct Scheme {
  std::optional<QuantizationArgs> weights;
  std::optional<QuantizationArgs> input_activations;
  std::optional<QuantizationArgs> output_activations;
  std::string format;  // "pack-quantized" ...; empty: chosen from the rest when written

  bool operator==(const Scheme&) const = default;
};

/// A scheme and the modules it is for: one entry of `config_groups`.
struct ConfigGroup {
  std::string name;                  // "group_0"
  std::vector<std::string> targets;  // see target.h
  Scheme scheme;

  bool operator==(const ConfigGroup&) const = default;
};

/// All names that `preset` knows, in the order of the documentation.
std::span<const std::string_view> preset_names();

/// Returns the scheme of this name, in any case. Throws kInvalidArgument with the nearest name and the list.
Scheme preset(std::string_view name);

/// Returns a preset's name with what differs from it, for people: "W4A16", "W4A16 group 64", "W8A8 int, mse".
std::string describe(const Scheme& scheme);

/// Reads `config_groups` of a checkpoint or recipe: names mapped to schemes with targets, or preset names
/// mapped to lists of targets. Groups come in sorted order of their names. Throws kInvalidArgument naming
/// group and key.
std::vector<ConfigGroup> parse_config_groups(const Json& json, std::string_view where);

/// Writes one group as compressed-tensors does; its name is the caller's key.
Json to_json(const ConfigGroup& group);

}  // namespace farthing::scheme
