// Quantizers for the block formats of ggml: 32 or 256 values of a row that share scales. The short formats
// without importance give the codes of the reference package for Python; the long ones search scales of their
// own. Layouts: formats-and-algorithms A5.3, checkpoint/gguf/blocks.h.
#pragma once

#include <cstdint>
#include <vector>

#include "base/thread_pool.h"
#include "checkpoint/gguf/blocks.h"
#include "tensor/tensor.h"

namespace farthing::methods {

/// Whether there is a quantizer for this type.
bool can_encode(const checkpoint::gguf::BlockType& type);

/// Encodes one row of `columns` values (whole blocks) at `out`. `importance` [columns] says how much a
/// squared error in each column counts; null: all alike.
void encode_row(const checkpoint::gguf::BlockType& type, const float* row, std::int64_t columns,
                const float* importance, std::uint8_t* out);

/// Encodes `weight` [rows, columns] of any float type: U8 [rows, bytes of a row]. Row i of the result is row
/// `order[i]` of the weight where `order` is not empty. Throws kNumeric for values that are not finite.
Tensor encode_blocks(const checkpoint::gguf::BlockType& type, const Tensor& weight,
                     std::span<const float> importance, std::span<const std::int64_t> order,
                     ThreadPool& pool);

/// The sum over all values of importance * (value - decoded)^2, and of importance * value^2.
struct BlockError {
  double error = 0, energy = 0;
  std::int64_t count = 0;
};
BlockError measure_blocks(const checkpoint::gguf::BlockType& type, const Tensor& weight, const Tensor& blocks,
                          std::span<const float> importance, std::span<const std::int64_t> order,
                          ThreadPool& pool);

}  // namespace farthing::methods
