// From logits to the next token: penalties, temperature, top-k, top-p, min-p, in the order transformers
// applies them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"

namespace farthing::generate {

struct SamplingOptions {
  double temperature = 0.0;  // 0: greedy
  double top_p = 1.0;
  std::int64_t top_k = 0;  // 0: off
  double min_p = 0.0;
  double repetition_penalty = 1.0;
  std::uint64_t seed = 0;
  /// Never picked; and not picked as the first token (generation_config.json: suppress_tokens,
  /// begin_suppress_tokens).
  std::vector<std::int32_t> suppressed, suppressed_first;
};

class Sampler {
 public:
  /// Throws kInvalidArgument for values that make no sense, such as a negative temperature.
  explicit Sampler(const SamplingOptions& options);

  /// Picks a token. `history` is prompt and generated ids (for the repetition penalty). Throws kNumeric when
  /// the logits are not finite.
  std::int32_t pick(std::span<const float> logits, std::span<const std::int32_t> history);

 private:
  SamplingOptions options_;
  Mt19937 random_;
  std::vector<float> scores_;
  bool is_first_ = true;
};

}  // namespace farthing::generate
