#include "formats/autoawq/packing.h"

#include <array>

#include "base/error.h"
#include "scheme/packing.h"

namespace farthing::formats::autoawq {
namespace {

using scheme::WordLayout;

constexpr std::int64_t kWordFields = 8;
constexpr std::array<int, kWordFields> kGemmOrder = {0, 2, 4, 6, 1, 3, 5, 7};

// The inputs of a run of 32 as they follow each other in the stream: 0, 8, 16, 24, 1, 9, 17, 25, then the
// same two columns further on.
constexpr std::int64_t kRun = 32, kInterleavedRows = 4, kStretch = 64;
constexpr std::int64_t fast_place(std::int64_t i) {
  const std::int64_t octet = i / 8, within = i % 8;
  return 2 * octet + within / 4 + 8 * (within % 4);
}

}  // namespace

Tensor pack_gemm(const Tensor& codes, ThreadPool& pool) {
  const Tensor columns = transpose(codes);
  Tensor ordered = Tensor::empty(DType::kI8, columns.shape());
  const std::int8_t* from = columns.data<std::int8_t>();
  std::int8_t* to = ordered.mutable_data<std::int8_t>();
  for (std::int64_t word = 0; word < columns.numel(); word += kWordFields) {
    for (std::int64_t i = 0; i < kWordFields; ++i) to[word + i] = from[word + kGemmOrder[i]];
  }
  return scheme::pack_rows(ordered, kBits, WordLayout::kDense, pool);
}

Tensor unpack_gemm(const Tensor& words, ThreadPool& pool) {
  const Tensor ordered =
      scheme::unpack_rows(words, kBits, words.dim(1) * kWordFields, WordLayout::kDense, pool);
  Tensor columns = Tensor::empty(DType::kI8, ordered.shape());
  const std::int8_t* from = ordered.data<std::int8_t>();
  std::int8_t* to = columns.mutable_data<std::int8_t>();
  for (std::int64_t word = 0; word < ordered.numel(); word += kWordFields) {
    for (std::int64_t i = 0; i < kWordFields; ++i) to[word + kGemmOrder[i]] = from[word + i];
  }
  return transpose(columns);
}

Tensor unpack_gemv_fast(const Tensor& words, ThreadPool& pool) {
  const std::int64_t quads = words.dim(0), columns = words.dim(1);
  FARTHING_CHECK(columns % kStretch == 0, "{} inputs", columns);
  Tensor codes = Tensor::empty(DType::kI8, {quads * kInterleavedRows, columns});
  const std::uint16_t* in = words.data<std::uint16_t>();
  std::int8_t* out = codes.mutable_data<std::int8_t>();
  pool.parallel_for(quads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * columns * kInterleavedRows; i < end * columns * kInterleavedRows; ++i) {
      const int field = in[i / 4] >> (i % 4 * kBits) & 15;
      const std::int64_t quad = i / (columns * kInterleavedRows), rest = i % (columns * kInterleavedRows);
      const std::int64_t row = rest / kStretch % kInterleavedRows;
      const std::int64_t stretch = rest / (kStretch * kInterleavedRows), within = rest % kStretch;
      const std::int64_t column = stretch * kStretch + within / kRun * kRun + fast_place(within % kRun);
      out[(quad * kInterleavedRows + row) * columns + column] = static_cast<std::int8_t>(field - 8);
    }
  });
  return codes;
}

}  // namespace farthing::formats::autoawq
