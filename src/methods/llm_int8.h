// LLM.int8 (Dettmers et al., 2022): a scale per row, the weight seen in half precision. Data-free; equal to
// bitsandbytes 0.50 on a CPU.
#pragma once

#include "base/thread_pool.h"
#include "tensor/quantized_matrix.h"

namespace farthing::methods {

/// Returns `weight` [rows, columns] with codes round(w * (127 / amax of the row)) and the row's amax as its
/// scale, to be divided by 127 (global_scale). Throws kNumeric for values that are not finite in half
/// precision.
QuantizedMatrix llm_int8(const Tensor& weight, ThreadPool& pool);

}  // namespace farthing::methods
