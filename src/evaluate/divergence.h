// How far one model's next-token distribution is from another's, gathered position by position.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace farthing::evaluate {

struct Divergence {
  std::int64_t count = 0;
  double kl_mean = 0;         // KL(base || model), nats
  double kl_p99 = 0;          // 99th percentile over positions
  double top1_agreement = 0;  // share of positions whose most likely token is the same
};

class DivergenceMeter {
 public:
  /// Adds one position. Both rows are logits over the same vocabulary. Throws kInvalidArgument when they
  /// differ in length, kNumeric when their distance is not finite.
  void add(std::span<const float> base, std::span<const float> model);
  Divergence result() const;

 private:
  std::vector<double> values_;
  std::int64_t agreements_ = 0;
};

}  // namespace farthing::evaluate
