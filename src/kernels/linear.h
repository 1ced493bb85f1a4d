// The product at the heart of every model, y = x W^T + b, for a weight in any form. A weight is packed once
// into the layout its kernel wants; the rest of the house never looks inside.
#pragma once

#include "base/thread_pool.h"
#include "kernels/isa.h"
#include "tensor/quantized_matrix.h"
#include "tensor/tensor.h"

namespace farthing::kernels {

/// A weight [N, K] in a kernel's layout. Immutable after packing and cheap to copy.
struct PackedWeight {
  std::int64_t rows = 0;     // N, out_features
  std::int64_t columns = 0;  // K, in_features
  std::string_view
      kernel;  // the variant that owns the layout, such as "w4a16_avx512"; shown by inspect --kernels
  Isa isa = Isa::kScalar;
  int bits = 32;  // of one weight as stored
  std::int64_t group_size = 0;
  Tensor data;          // values or codes, in the kernel's layout
  Tensor scales;        // quantized weights only
  Tensor zero_points;   // asymmetric ones only
  Tensor table;         // F32 [16]: the values that 4-bit codes stand for, where they are not evenly spaced
  Tensor column_order;  // I32 [K]: x is gathered in this order first (activation-ordered groups); usually
                        // undefined

  std::size_t num_bytes() const;
};

/// Packs a dense weight [N, K] of F32, BF16 or F16. The stored precision is kept: 16-bit weights stay 16-bit
/// in memory.
PackedWeight pack_weight(const Tensor& weight, Isa isa = active_isa());

/// Packs a quantized weight. Codes of 2 to 8 bits; group, channel, tensor or block scales; symmetric or not;
/// any group size and tail; activation-ordered groups; NF4 and FP4 as codes of their table. What no special
/// kernel covers is dequantized to fp32 and packed dense.
PackedWeight pack_weight(const QuantizedMatrix& weight, Isa isa = active_isa());

/// Returns the weight that `linear` multiplies by, as F32 [N, K]. For tests and for methods that need values
/// back.
Tensor unpack_weight(const PackedWeight& weight);

/// y[m, n] = sum_k x[m, k] * w[n, k] + bias[n], in fp32 on the (dequantized) weight.
/// `x` [M, K] and `y` [M, N] are row-major and do not overlap; `bias` [N] may be null. A row of y does not
/// depend on the other rows of x nor on the number of threads. Relative tolerance to the scalar reference:
/// 1e-5 of sum |x w|.
void linear(const float* x, std::int64_t m, const PackedWeight& weight, const float* bias, float* y,
            ThreadPool& pool);

}  // namespace farthing::kernels
