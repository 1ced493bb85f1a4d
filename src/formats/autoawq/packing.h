// The orders in which AutoAWQ packs 4-bit codes. All codes here are signed and [out, in], as in
// QuantizedMatrix; a stored field is the code plus 8.
#pragma once

#include "base/thread_pool.h"
#include "tensor/tensor.h"

namespace farthing::formats::autoawq {

inline constexpr int kBits = 4;  // the only width of the format

/// GEMM: I32 [in, out / 8]. Nibble i of a word holds output 0, 2, 4, 6, 1, 3, 5, 7 of its eight. `out` is a
/// multiple of 8. The same for zero points [out, groups].
Tensor pack_gemm(const Tensor& codes, ThreadPool& pool);
Tensor unpack_gemm(const Tensor& words, ThreadPool& pool);

/// GEMV_FAST: I16 [out / 4, in]. Runs of 32 inputs are interleaved, and runs of 64 inputs of four outputs
/// follow each other. `in` is a multiple of 64.
Tensor unpack_gemv_fast(const Tensor& words, ThreadPool& pool);

}  // namespace farthing::formats::autoawq
