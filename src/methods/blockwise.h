// bitsandbytes' 4-bit quantization: a weight is flattened, blocks of it share the largest absolute value, and
// each element takes one of 16 values from a table (Dettmers et al., QLoRA, 2023). Data-free; equal to
// bitsandbytes 0.50 on a CPU.
#pragma once

#include "base/thread_pool.h"
#include "scheme/quantization_args.h"
#include "tensor/quantized_matrix.h"

namespace farthing::methods {

/// The 16 values, F32 [16].
Tensor nf4_table();
Tensor fp4_table();

/// The codes of `count` values in [-1, 1].
void nf4_codes(const float* values, std::int64_t count, std::uint8_t* codes);
void fp4_codes(const float* values, std::int64_t count, std::uint8_t* codes);

/// Returns `weight` [rows, columns] (F32, BF16 or F16) in codes of `args.type` (kNf4 or kFp4) with blocks of
/// `args.group_size` elements, which may run over the ends of rows; with `args.scale_dtype` kU8 the scales
/// are quantized too. Throws kNumeric for values that are not finite.
QuantizedMatrix quantize_blockwise(const Tensor& weight, const scheme::QuantizationArgs& args,
                                   ThreadPool& pool);

/// Quantizes the scales of a weight in blocks of 256, around their mean, with the 8-bit map of
/// `dynamic_map()`.
NestedScales quantize_scales(const Tensor& scales);

/// The 256 values of bitsandbytes' signed dynamic map, ascending, F32 [256]: dense near 0, sparse near 1.
Tensor dynamic_map();

}  // namespace farthing::methods
