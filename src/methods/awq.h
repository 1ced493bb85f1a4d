// AWQ (Lin et al. 2023): channels whose inputs are large keep more of their precision when their weights are
// scaled up before rounding and the inputs down. Here are the candidates for that scale and what rounding
// makes of a weight under one; which is best the outputs of the model decide. And AutoAWQ's second step,
// which cuts off the largest weights of a group where that makes its output better.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "scheme/observer.h"
#include "scheme/quantization_args.h"

namespace farthing::methods {

/// Whether a candidate divides by the size of the weights too.
enum class DuoScaling : std::uint8_t { kOff, kOn, kBoth };

struct AwqOptions {
  DuoScaling duo = DuoScaling::kOn;
  int num_candidates = 20;

  /// AutoAWQ's grid: ratios i / n. Otherwise llm-compressor's, which goes up to 1 and begins without any
  /// scaling.
  bool autoawq_grid = false;

  /// In which type every step is rounded; none: the weights' own type for their mean, full precision for the
  /// rest, as llm-compressor does. AutoAWQ computes in kF16.
  std::optional<DType> arithmetic;

  bool clip = false;  // AutoAWQ's second step
};

struct AwqCandidate {
  double ratio = 0;  // of the exponents that inputs and weights get
  bool duo = false;

  bool operator==(const AwqCandidate&) const = default;
};

/// The candidates in the order in which they are tried; the first of equal ones wins. Throws kInvalidArgument
/// for fewer than 4.
std::vector<AwqCandidate> awq_candidates(const AwqOptions& options);

/// A weight [rows, channels] that reads the scaled channels, and how it will be quantized.
struct AwqWeight {
  Tensor weight;  // F32, BF16 or F16
  const scheme::QuantizationArgs* args;
};

/// Returns the mean over all rows of all weights of |w| / (max|w| of its group + 1e-6), for every channel.
std::vector<double> awq_weight_means(std::span<const AwqWeight> weights, const AwqOptions& options,
                                     ThreadPool& pool);

/// Returns the scale of every channel under a candidate: x^r / (w^(1 - r) + 1e-4), or x^r without duo, at
/// least 1e-4, over the root of its largest times its smallest. `input_means` are of |x|.
std::vector<float> awq_scale(std::span<const double> input_means, std::span<const double> weight_means,
                             const AwqCandidate& candidate, const AwqOptions& options);

/// Returns round(w * scale) / scale as F32: the weight as it will act on inputs that were not scaled.
Tensor awq_rounded(const AwqWeight& weight, std::span<const float> scale,
                   const scheme::ObserverOptions& observer, ThreadPool& pool);

/// Columns that share a limit of `awq_clip_limits`; 0 where the scheme has no groups to clip.
std::int64_t awq_clip_width(const scheme::QuantizationArgs& args, std::int64_t columns);

/// Returns for every row and group of `weight` the largest |w| to keep, F32 [rows, groups]: of max|w| * (1 -
/// i / 20), i = 0..9, the one under which rounding changes the group's part of the output least. `gram`
/// [groups, width, width] is sum x x^T of the inputs of each group.
Tensor awq_clip_limits(const AwqWeight& weight, const Tensor& gram, const scheme::ObserverOptions& observer,
                       ThreadPool& pool);

/// Returns `weight` with every element moved into its group's [-limit, limit], in its own type.
Tensor clip_groups(const Tensor& weight, const Tensor& limits, ThreadPool& pool);

}  // namespace farthing::methods
