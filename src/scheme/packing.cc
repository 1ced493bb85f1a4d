#include "scheme/packing.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace farthing::scheme {
namespace {

constexpr std::int64_t kPackedRowsPerPiece = 32;
constexpr int kWordBits = 32;

// Fields of one width. Loops know the width and where words end at compile time, so that they unroll into
// shifts.
template <int kBits, WordLayout kLayout>
struct Stream {
  // The shortest run of fields that ends on a word: its fields and words.
  static constexpr int kFields = kLayout == WordLayout::kWholeFields ? kWordBits / kBits : kWordBits;
  // NOLINTNEXTLINE(bugprone-branch-clone): the branches are alike for one bit only.
  static constexpr int kWords = kLayout == WordLayout::kWholeFields ? 1 : kBits;
  static constexpr std::uint32_t kOffset = 1u << (kBits - 1);
  static constexpr std::uint32_t kMask = (1u << kBits) - 1;

  static void pack_run(const std::uint32_t* fields, std::uint32_t* words) {
    std::fill(words, words + kWords, 0u);
#pragma GCC unroll 32
    for (int i = 0; i < kFields; ++i) {
      const int bit = i * kBits, word = bit / kWordBits, shift = bit % kWordBits;
      words[word] |= fields[i] << shift;
      if (shift + kBits > kWordBits) words[word + 1] |= fields[i] >> (kWordBits - shift);
    }
  }

  static void unpack_run(const std::uint32_t* words, std::uint32_t* fields) {
#pragma GCC unroll 32
    for (int i = 0; i < kFields; ++i) {
      const int bit = i * kBits, word = bit / kWordBits, shift = bit % kWordBits;
      std::uint32_t field = words[word] >> shift;
      if (shift + kBits > kWordBits) field |= words[word + 1] << (kWordBits - shift);
      fields[i] = field & kMask;
    }
  }

  static void pack(const std::int8_t* codes, std::int64_t count, std::int32_t* out, std::int64_t out_count) {
    std::array<std::uint32_t, kFields> fields;
    std::array<std::uint32_t, kWords> words;
    while (count > 0) {
      const auto taken = static_cast<int>(std::min<std::int64_t>(count, kFields));
      for (int i = 0; i < taken; ++i)
        fields[i] = static_cast<std::uint32_t>(codes[i] + static_cast<int>(kOffset)) & kMask;
      std::fill(fields.begin() + taken, fields.end(), 0u);
      pack_run(fields.data(), words.data());
      const auto written = std::min<std::int64_t>(out_count, kWords);
      for (int i = 0; i < written; ++i) out[i] = static_cast<std::int32_t>(words[i]);
      codes += taken;
      count -= taken;
      out += written;
      out_count -= written;
    }
  }

  static void unpack(const std::int32_t* in, std::int64_t in_count, std::int8_t* codes, std::int64_t count) {
    std::array<std::uint32_t, kFields> fields;
    std::array<std::uint32_t, kWords> words{};
    while (count > 0) {
      const auto available = std::min<std::int64_t>(in_count, kWords);
      for (int i = 0; i < available; ++i) words[i] = static_cast<std::uint32_t>(in[i]);
      unpack_run(words.data(), fields.data());
      const auto taken = static_cast<int>(std::min<std::int64_t>(count, kFields));
      for (int i = 0; i < taken; ++i)
        codes[i] = static_cast<std::int8_t>(static_cast<int>(fields[i]) - static_cast<int>(kOffset));
      codes += taken;
      count -= taken;
      in += available;
      in_count -= available;
    }
  }
};

// Calls body.operator()<Stream<...>>() for a width and layout known at run time.
template <typename Body>
void with_stream(int bits, WordLayout layout, const Body& body) {
  const auto with_layout = [&]<int kBits>() {
    if (layout == WordLayout::kDense) return body.template operator()<Stream<kBits, WordLayout::kDense>>();
    body.template operator()<Stream<kBits, WordLayout::kWholeFields>>();
  };
  switch (bits) {
    case 1:
      return with_layout.template operator()<1>();
    case 2:
      return with_layout.template operator()<2>();
    case 3:
      return with_layout.template operator()<3>();
    case 4:
      return with_layout.template operator()<4>();
    case 5:
      return with_layout.template operator()<5>();
    case 6:
      return with_layout.template operator()<6>();
    case 7:
      return with_layout.template operator()<7>();
    case 8:
      return with_layout.template operator()<8>();
    default:
      FARTHING_CHECK(false, "{} bits", bits);
  }
}

}  // namespace

std::int64_t num_words(std::int64_t count, int bits, WordLayout layout) {
  FARTHING_CHECK(bits >= 1 && bits <= 8, "{} bits", bits);
  if (layout == WordLayout::kDense) return (count * bits + kWordBits - 1) / kWordBits;
  const std::int64_t per_word = kWordBits / bits;
  return (count + per_word - 1) / per_word;
}

Tensor pack_rows(const Tensor& codes, int bits, WordLayout layout, ThreadPool& pool) {
  const std::int64_t rows = codes.dim(0), columns = codes.dim(1), words = num_words(columns, bits, layout);
  Tensor result = Tensor::empty(DType::kI32, {rows, words});
  const std::int8_t* in = codes.data<std::int8_t>();
  std::int32_t* out = result.mutable_data<std::int32_t>();
  with_stream(bits, layout, [&]<typename Packing>() {
    pool.parallel_for(rows, kPackedRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        Packing::pack(in + row * columns, columns, out + row * words, words);
    });
  });
  return result;
}

Tensor unpack_rows(const Tensor& words, int bits, std::int64_t columns, WordLayout layout, ThreadPool& pool) {
  const std::int64_t rows = words.dim(0), width = words.dim(1);
  FARTHING_CHECK(width == num_words(columns, bits, layout), "{} words for {} fields of {} bits", width,
                 columns, bits);
  Tensor result = Tensor::empty(DType::kI8, {rows, columns});
  const std::int32_t* in = words.data<std::int32_t>();
  std::int8_t* out = result.mutable_data<std::int8_t>();
  with_stream(bits, layout, [&]<typename Packing>() {
    pool.parallel_for(rows, kPackedRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        Packing::unpack(in + row * width, width, out + row * columns, columns);
    });
  });
  return result;
}

Tensor pack_columns(const Tensor& codes, int bits, WordLayout layout, ThreadPool& pool) {
  return transpose(pack_rows(transpose(codes), bits, layout, pool));
}

Tensor unpack_columns(const Tensor& words, int bits, std::int64_t rows, WordLayout layout, ThreadPool& pool) {
  return transpose(unpack_rows(transpose(words), bits, rows, layout, pool));
}

Tensor pack_nibbles(const Tensor& nibbles, ThreadPool& pool) {
  const std::int64_t rows = nibbles.dim(0), columns = nibbles.dim(1);
  FARTHING_CHECK(columns % 2 == 0, "{} nibbles in a row", columns);
  Tensor result = Tensor::empty(DType::kU8, {rows, columns / 2});
  const std::uint8_t* in = nibbles.data<std::uint8_t>();
  std::uint8_t* out = result.mutable_data<std::uint8_t>();
  pool.parallel_for(rows, kPackedRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * columns / 2; i < end * columns / 2; ++i) {
      out[i] = static_cast<std::uint8_t>((in[2 * i] & 15) | in[2 * i + 1] << 4);
    }
  });
  return result;
}

Tensor unpack_nibbles(const Tensor& bytes, ThreadPool& pool) {
  const std::int64_t rows = bytes.dim(0), columns = bytes.dim(1);
  Tensor result = Tensor::empty(DType::kU8, {rows, columns * 2});
  const std::uint8_t* in = bytes.data<std::uint8_t>();
  std::uint8_t* out = result.mutable_data<std::uint8_t>();
  pool.parallel_for(rows, kPackedRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * columns; i < end * columns; ++i) {
      out[2 * i] = in[i] & 15;
      out[2 * i + 1] = in[i] >> 4;
    }
  });
  return result;
}

}  // namespace farthing::scheme
