// Codes of other formats in ggml's blocks, where both have the same grid: scale * code in groups of whole
// blocks.
#pragma once

#include <cstdint>
#include <span>

#include "checkpoint/gguf/blocks.h"
#include "tensor/quantized_matrix.h"

namespace farthing::quantize {

/// Returns the weight in blocks of Q4_0, Q5_0 or Q8_0, U8 [rows, bytes of a row], row i being row `order[i]`
/// where `order` is not empty. Every value stays what it is. Throws kUnsupported saying what stands in the
/// way: zero points, groups that cut blocks, scales that fp16 does not have.
Tensor carry_codes(const checkpoint::gguf::BlockType& type, const QuantizedMatrix& weight,
                   std::span<const std::int64_t> order);

}  // namespace farthing::quantize
