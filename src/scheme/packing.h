// Codes of 1 to 8 bits as files hold them: LSB-first bit streams cut into 32-bit words, and pairs of nibbles.
#pragma once

#include "base/thread_pool.h"
#include "tensor/tensor.h"

namespace farthing::scheme {

/// kDense: a field may straddle two words; 32 fields fill exactly `bits` words. kWholeFields: floor(32 /
/// bits) fields per word, the rest of it unused (old compressed-tensors). The two agree for 1, 2, 4 and 8
/// bits.
enum class WordLayout : std::uint8_t { kDense, kWholeFields };

/// Returns how many words hold `count` fields.
std::int64_t num_words(std::int64_t count, int bits, WordLayout layout);

/// Packs each row of signed codes I8 [rows, columns] into I32 [rows, num_words(columns)]. A code q in
/// [-2^(bits-1), 2^(bits-1) - 1] is stored as the unsigned q + 2^(bits-1); unused bits are zero.
Tensor pack_rows(const Tensor& codes, int bits, WordLayout layout, ThreadPool& pool);

/// The reverse; `words` must have num_words(columns) of them in a row.
Tensor unpack_rows(const Tensor& words, int bits, std::int64_t columns, WordLayout layout, ThreadPool& pool);

/// The same along the first axis: I8 [rows, columns] to I32 [num_words(rows), columns].
Tensor pack_columns(const Tensor& codes, int bits, WordLayout layout, ThreadPool& pool);
Tensor unpack_columns(const Tensor& words, int bits, std::int64_t rows, WordLayout layout, ThreadPool& pool);

/// Packs nibbles, one per byte, U8 [rows, columns] into U8 [rows, columns / 2], element 2k in the low half.
/// `columns` is even.
Tensor pack_nibbles(const Tensor& nibbles, ThreadPool& pool);
Tensor unpack_nibbles(const Tensor& bytes, ThreadPool& pool);

}  // namespace farthing::scheme
