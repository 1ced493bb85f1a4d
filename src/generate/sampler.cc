#include "generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_set>
#include <utility>

#include "base/error.h"

namespace farthing::generate {
namespace {

constexpr float kRemoved = -INFINITY;

void penalize_repetition(std::span<float> scores, std::span<const std::int32_t> history, double penalty) {
  const std::unordered_set<std::int32_t> seen(history.begin(), history.end());
  for (const std::int32_t id : seen) {
    if (id < 0 || id >= static_cast<std::int64_t>(scores.size())) continue;
    scores[id] = static_cast<float>(scores[id] < 0 ? scores[id] * penalty : scores[id] / penalty);
  }
}

void remove(std::span<float> scores, std::span<const std::int32_t> ids) {
  for (const std::int32_t id : ids)
    if (id >= 0 && id < static_cast<std::int64_t>(scores.size())) scores[id] = kRemoved;
}

void keep_top_k(std::span<float> scores, std::int64_t k) {
  if (k <= 0 || k >= static_cast<std::int64_t>(scores.size())) return;
  std::vector<float> sorted(scores.begin(), scores.end());
  std::nth_element(sorted.begin(), sorted.begin() + (k - 1), sorted.end(), std::greater<>());
  const float threshold = sorted[k - 1];  // ties at the threshold all stay
  for (float& score : scores) score = score < threshold ? kRemoved : score;
}

// Probabilities of the scores that are left, largest first, with their indices.
std::vector<std::pair<double, std::size_t>> sorted_probabilities(std::span<const float> scores) {
  const float largest = *std::max_element(scores.begin(), scores.end());
  std::vector<std::pair<double, std::size_t>> result;
  double sum = 0;
  for (std::size_t i = 0; i < scores.size(); ++i) {
    if (scores[i] == kRemoved) continue;
    result.emplace_back(std::exp(static_cast<double>(scores[i]) - largest), i);
    sum += result.back().first;
  }
  for (auto& [probability, index] : result) probability /= sum;
  std::stable_sort(result.begin(), result.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  return result;
}

}  // namespace

Sampler::Sampler(const SamplingOptions& options) : options_(options), random_(options.seed) {
  FARTHING_REQUIRE(options.temperature >= 0 && std::isfinite(options.temperature), Code::kInvalidArgument,
                   "temperature must not be negative", {{"temperature", options.temperature}},
                   "use 0 for greedy decoding, or about 0.7");
  FARTHING_REQUIRE(options.top_p > 0 && options.top_p <= 1, Code::kInvalidArgument,
                   "top-p must be above 0 and at most 1", {{"top_p", options.top_p}});
  FARTHING_REQUIRE(options.top_k >= 0, Code::kInvalidArgument, "top-k must not be negative",
                   {{"top_k", options.top_k}}, "use 0 to keep all tokens");
  FARTHING_REQUIRE(options.min_p >= 0 && options.min_p <= 1, Code::kInvalidArgument,
                   "min-p must be between 0 and 1", {{"min_p", options.min_p}});
  FARTHING_REQUIRE(options.repetition_penalty > 0 && std::isfinite(options.repetition_penalty),
                   Code::kInvalidArgument, "repetition penalty must be positive",
                   {{"repetition_penalty", options.repetition_penalty}});
}

std::int32_t Sampler::pick(std::span<const float> logits, std::span<const std::int32_t> history) {
  for (const float logit : logits) {
    FARTHING_REQUIRE(std::isfinite(logit), Code::kNumeric,
                     "the model produced a logit that is not a finite number",
                     {{"tokens_so_far", history.size()}}, "check the checkpoint with: farthing verify DIR");
  }
  scores_.assign(logits.begin(), logits.end());
  if (options_.repetition_penalty != 1.0) penalize_repetition(scores_, history, options_.repetition_penalty);
  remove(scores_, options_.suppressed);
  if (std::exchange(is_first_, false)) remove(scores_, options_.suppressed_first);
  if (options_.temperature == 0) {
    return static_cast<std::int32_t>(std::max_element(scores_.begin(), scores_.end()) - scores_.begin());
  }
  // Measured from the largest, so that no temperature, however low, makes them infinite.
  const float largest = *std::max_element(scores_.begin(), scores_.end());
  for (float& score : scores_)
    score = static_cast<float>((static_cast<double>(score) - largest) / options_.temperature);
  keep_top_k(scores_, options_.top_k);
  auto candidates = sorted_probabilities(scores_);
  // top-p removes the tail whose cumulative probability, smallest first, is at most 1 - p; the largest always
  // stays.
  double kept = 0;
  std::size_t count = 0;
  while (count < candidates.size() && (count == 0 || kept < options_.top_p))
    kept += candidates[count++].first;
  const double floor = options_.min_p * candidates.front().first;
  while (count > 1 && candidates[count - 1].first < floor) --count;
  candidates.resize(count);
  const double total = std::accumulate(candidates.begin(), candidates.end(), 0.0,
                                       [](double sum, const auto& c) { return sum + c.first; });
  double target = random_.random() * total;
  for (const auto& [probability, index] : candidates) {
    target -= probability;
    if (target < 0) return static_cast<std::int32_t>(index);
  }
  return static_cast<std::int32_t>(candidates.back().second);
}

}  // namespace farthing::generate
