#include "evaluate/divergence.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "kernels/elementwise.h"

namespace farthing::evaluate {

void DivergenceMeter::add(std::span<const float> base, std::span<const float> model) {
  FARTHING_REQUIRE(
      base.size() == model.size(), Code::kInvalidArgument, "the two models have different vocabularies",
      {{"base", base.size()}, {"model", model.size()}}, "give --base the model that was quantized");
  const auto count = static_cast<std::int64_t>(base.size());
  std::int64_t base_largest = 0, model_largest = 0;
  const double base_norm = kernels::log_sum_exp(base.data(), count, &base_largest);
  const double model_norm = kernels::log_sum_exp(model.data(), count, &model_largest);
  double kl = 0;
  for (std::size_t i = 0; i < base.size(); ++i) {
    const double log_p = base[i] - base_norm;
    if (log_p == -INFINITY) continue;  // p log p is 0 there
    kl += std::exp(log_p) * (log_p - (model[i] - model_norm));
  }
  FARTHING_REQUIRE(std::isfinite(kl), Code::kNumeric,
                   "the distance between the two models' logits is not finite",
                   {{"position", values_.size()}}, "check both checkpoints with: farthing verify DIR");
  values_.push_back(std::max(kl, 0.0));  // rounding may leave it just below
  agreements_ += base_largest == model_largest;
}

Divergence DivergenceMeter::result() const {
  Divergence result{.count = static_cast<std::int64_t>(values_.size())};
  if (values_.empty()) return result;
  const auto count = static_cast<double>(values_.size());
  result.kl_mean = std::accumulate(values_.begin(), values_.end(), 0.0) / count;
  result.top1_agreement = static_cast<double>(agreements_) / count;
  std::vector<double> sorted = values_;
  const auto rank = static_cast<std::ptrdiff_t>(std::ceil(0.99 * count)) - 1;
  std::nth_element(sorted.begin(), sorted.begin() + rank, sorted.end());
  result.kl_p99 = sorted[static_cast<std::size_t>(rank)];
  return result;
}

}  // namespace farthing::evaluate
