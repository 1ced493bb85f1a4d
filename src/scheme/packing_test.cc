#include "scheme/packing.h"

#include <random>

#include <gtest/gtest.h>

namespace farthing::scheme {
namespace {

Tensor random_codes(std::int64_t rows, std::int64_t columns, int bits, std::mt19937& random) {
  std::uniform_int_distribution<int> code(-(1 << (bits - 1)), (1 << (bits - 1)) - 1);
  Tensor codes = Tensor::empty(DType::kI8, {rows, columns});
  for (std::int64_t i = 0; i < codes.numel(); ++i)
    codes.mutable_data<std::int8_t>()[i] = static_cast<std::int8_t>(code(random));
  return codes;
}

bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::ranges::equal(a.bytes(), b.bytes());
}

TEST(Packing, WorkedExamples) {
  ThreadPool pool(1);
  const Tensor four = Tensor::of<std::int8_t>({1, 8}, {-8, -1, 0, 7, 3, -4, 1, 2});
  EXPECT_EQ(pack_rows(four, 4, WordLayout::kDense, pool).data<std::int32_t>()[0], -1454638992);
  const Tensor eight = Tensor::of<std::int8_t>({1, 2}, {1, 2});
  EXPECT_EQ(pack_rows(eight, 8, WordLayout::kDense, pool).data<std::int32_t>()[0], 33409);
  // Three bits: the eleventh field straddles the first two words; without straddling it opens the second one.
  Tensor three = Tensor::zeros(DType::kI8, {1, 11});
  for (int i = 0; i < 10; ++i) three.mutable_data<std::int8_t>()[i] = -4;
  three.mutable_data<std::int8_t>()[10] = 3;
  const Tensor dense = pack_rows(three, 3, WordLayout::kDense, pool),
               whole = pack_rows(three, 3, WordLayout::kWholeFields, pool);
  EXPECT_EQ(static_cast<std::uint32_t>(dense.data<std::int32_t>()[0]), 0xc0000000u);
  EXPECT_EQ(dense.data<std::int32_t>()[1], 1);
  EXPECT_EQ(whole.data<std::int32_t>()[0], 0);
  EXPECT_EQ(whole.data<std::int32_t>()[1], 7);
}

TEST(Packing, NumberOfWords) {
  EXPECT_EQ(num_words(256, 3, WordLayout::kDense), 24);
  EXPECT_EQ(num_words(256, 3, WordLayout::kWholeFields), 26);
  EXPECT_EQ(num_words(0, 4, WordLayout::kDense), 0);
  EXPECT_EQ(num_words(9, 4, WordLayout::kDense), 2);
}

TEST(Packing, EveryWidthAndLengthComesBack) {
  std::mt19937 random(1);
  ThreadPool pool(2);
  for (int bits = 1; bits <= 8; ++bits) {
    for (const WordLayout layout : {WordLayout::kDense, WordLayout::kWholeFields}) {
      for (const std::int64_t length : {1, 2, 3, 5, 7, 10, 11, 31, 32, 33, 63, 64, 65, 100, 127, 129}) {
        const Tensor codes = random_codes(35, length, bits, random);
        EXPECT_TRUE(
            same(unpack_rows(pack_rows(codes, bits, layout, pool), bits, length, layout, pool), codes))
            << bits << " bits, " << length;
        EXPECT_TRUE(
            same(unpack_columns(pack_columns(codes, bits, layout, pool), bits, 35, layout, pool), codes))
            << bits << " bits, columns of 35";
      }
    }
  }
}

TEST(Packing, LayoutsAgreeWhereFieldsFitWords) {
  std::mt19937 random(2);
  ThreadPool pool(1);
  for (const int bits : {1, 2, 4, 8}) {
    const Tensor codes = random_codes(3, 50, bits, random);
    EXPECT_TRUE(same(pack_rows(codes, bits, WordLayout::kDense, pool),
                     pack_rows(codes, bits, WordLayout::kWholeFields, pool)));
  }
}

TEST(Packing, ThreadsDoNotChangeTheBytes) {
  std::mt19937 random(3);
  ThreadPool one(1), three(3);
  const Tensor codes = random_codes(200, 77, 5, random);
  EXPECT_TRUE(
      same(pack_rows(codes, 5, WordLayout::kDense, one), pack_rows(codes, 5, WordLayout::kDense, three)));
}

TEST(Packing, Nibbles) {
  ThreadPool pool(1);
  const Tensor nibbles = Tensor::of<std::uint8_t>({2, 4}, {1, 2, 3, 4, 15, 0, 8, 9});
  const Tensor packed = pack_nibbles(nibbles, pool);
  EXPECT_EQ(packed.data<std::uint8_t>()[0], 0x21);
  EXPECT_EQ(packed.data<std::uint8_t>()[2], 0x0f);
  EXPECT_TRUE(same(unpack_nibbles(packed, pool), nibbles));
}

}  // namespace
}  // namespace farthing::scheme
