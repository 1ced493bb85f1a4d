// Mixed precision: which linears get more bits than the others, so that a size is kept or a damage is not
// exceeded. What each choice costs is measured in evaluate/sensitivity.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "plan/quantize_plan.h"

namespace farthing::plan {

/// What the user wants; one of these.
struct MixtureTarget {
  std::optional<double> bits;          // per weight of the linears that the scheme is for, scales included
  std::optional<std::uint64_t> bytes;  // of the weight files
  std::optional<double> divergence;    // mean KL(original || quantized), nats

  explicit operator bool() const { return bits || bytes || divergence; }
};

/// Returns the schemes that can stand beside `base` in one checkpoint of `format` and that its consumers have
/// kernels for, by rising size: `base` itself first, nothing (the linear stays as it is) last. Throws
/// kUnsupported for formats that hold one scheme, and for schemes that are the same as leaving it alone.
std::vector<std::optional<scheme::Scheme>> schemes_beside(const scheme::Scheme& base,
                                                          const std::string& format);

/// One way to store a unit.
struct MixtureChoice {
  std::string scheme;             // "W4A16 group 64"; "bf16" where it stays as it is
  std::uint64_t stored_bits = 0;  // of the whole unit, scales included
  double divergence = 0;          // of the model when only this unit is stored so
};

/// Linears that get the same scheme, because runtimes fuse them: those that read one input, and all experts
/// of a block.
struct MixtureUnit {
  std::string name;                  // "model.layers.3.self_attn.q_proj, k_proj, v_proj"
  std::vector<std::string> modules;  // canonical paths
  std::int64_t parameters = 0;
  std::vector<MixtureChoice> choices;  // as schemes_beside
  std::size_t chosen = 0;

  const MixtureChoice& choice() const { return choices[chosen]; }
  double bits_per_weight() const {
    return static_cast<double>(choice().stored_bits) / static_cast<double>(parameters);
  }
};

struct Mixture {
  std::vector<MixtureUnit> units;
  std::uint64_t fixed_bits = 0;  // of quantized linears outside the blocks: they keep the plan's scheme
  std::int64_t fixed_parameters = 0;
  std::uint64_t other_bytes = 0;  // of the weight files beside all these

  std::uint64_t unit_bits() const;
  double bits_per_weight() const;
  std::uint64_t bytes() const;
  /// The sum over all units: what they cost together as long as errors are small.
  double divergence() const;
};

/// The units of `smallest`, a plan whose linears all have one scheme; their divergences are still 0. Throws
/// kUnsupported for recipes with several schemes and as schemes_beside does.
Mixture mixture_of(const QuantizePlan& smallest);

/// Chooses the least divergence within the target's size, or the smallest size within its divergence;
/// `together` is how many times larger the divergence of all units is than their sum. Throws kInvalidArgument
/// saying what is possible when the target is out of reach.
void choose(Mixture& mixture, const MixtureTarget& target, double together = 1);

/// `recipe`, from which `smallest` was planned, with a group for every scheme but the first, and units that
/// stay as they are ignored.
Recipe with_mixture(Recipe recipe, const Mixture& mixture, const QuantizePlan& smallest);

/// The mixture as documents hold it.
Json to_json(const Mixture& mixture);

}  // namespace farthing::plan
