// Observers find the range that a weight's scales are made from. Bit-exact with llm-compressor on CPU: every
// step is rounded to the dtype of the weight, as its arithmetic is.
#pragma once

#include <optional>
#include <span>

#include "base/thread_pool.h"
#include "scheme/parameters.h"

namespace farthing::scheme {

struct ObserverOptions {
  DType model_dtype = DType::kBF16;  // of the scales, unless the arguments name another
  std::optional<float>
      global_scale;  // tensor_group: shared by linears that a runtime fuses; else the weight's own
  std::span<const float> importance;  // [columns], mean square of each input: imatrix_mse only
};

/// Returns scales and zero points for `weight` [rows, columns] of F32, BF16 or F16. `args.observer`: "minmax"
/// (and its variants, which are equal for one observation); "mse", which shrinks the range of each cell in
/// steps while sum |quantized - x|^2.4 falls; "imatrix_mse", the same weighted by input importance.
/// `args.observer_kwargs` may hold maxshrink, patience, grid and norm. Throws kNumeric naming row and column
/// for values that are not finite, kUnsupported for other observers, kInvalidArgument for arguments that are
/// not for weights.
QuantizationParameters observe(const Tensor& weight, const QuantizationArgs& args,
                               const ObserverOptions& options, ThreadPool& pool);

/// Returns the per-tensor factor of NVFP4, 448 * 6 / amax: it puts the largest group scale at the top of
/// F8_E4M3. Evaluated in the weight's dtype as 2688 * (1 / amax). Linears that share it take the smallest.
float global_scale_of(const Tensor& weight, ThreadPool& pool);

}  // namespace farthing::scheme
