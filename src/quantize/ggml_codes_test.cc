#include "quantize/ggml_codes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/random.h"
#include "scheme/quantizer.h"

namespace farthing::quantize {
namespace {

using checkpoint::gguf::BlockType;
using checkpoint::gguf::find_block_type;
using testing::HasSubstr;

// Random codes of `bits` in groups, with scales that fp16 has.
QuantizedMatrix random_matrix(int bits, std::int64_t rows, std::int64_t columns, std::int64_t group,
                              Mt19937& random) {
  QuantizedMatrix matrix{.rows = rows, .columns = columns, .bits = bits, .group_size = group};
  matrix.codes = Tensor::empty(DType::kI8, {rows, columns});
  for (std::int64_t i = 0; i < rows * columns; ++i)
    matrix.codes.mutable_data<std::int8_t>()[i] =
        static_cast<std::int8_t>(random.randint(-(1 << (bits - 1)), (1 << (bits - 1)) - 1));
  matrix.scales = Tensor::empty(DType::kF16, {rows, (columns + group - 1) / group});
  for (std::int64_t i = 0; i < matrix.scales.numel(); ++i)
    matrix.scales.mutable_data<std::uint16_t>()[i] =
        static_cast<std::uint16_t>(random.randint(0x1000, 0x3c00));
  return matrix;
}

std::string problem(const BlockType& type, const QuantizedMatrix& matrix) {
  try {
    carry_codes(type, matrix, {});
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUnsupported);
    return error.what();
  }
}

TEST(GgmlCodes, EveryValueStaysWhatItIs) {
  Mt19937 random(1);
  ThreadPool pool(1);
  for (int round = 0; round < 60; ++round) {
    const int bits = static_cast<int>(random.randint(2, 8));
    const BlockType& type = *find_block_type(bits <= 4 ? "Q4_0" : bits == 5 ? "Q5_0" : "Q8_0");
    const std::int64_t columns = 32 * random.randint(1, 6);
    const std::int64_t group = random.randrange(2) == 0 ? 32 : columns;
    const QuantizedMatrix matrix = random_matrix(bits, random.randint(1, 7), columns, group, random);
    const Tensor blocks = carry_codes(type, matrix, {});
    const Tensor expected = scheme::dequantize(matrix, pool);
    std::vector<float> decoded(static_cast<std::size_t>(matrix.rows * columns));
    for (std::int64_t b = 0; b < matrix.rows * columns / 32; ++b)
      type.decode(blocks.data<std::uint8_t>() + b * type.bytes, decoded.data() + 32 * b);
    EXPECT_TRUE(std::ranges::equal(decoded, expected.span<float>())) << bits << " bits, group " << group;
  }
}

TEST(GgmlCodes, WhatWouldChangeIsNamed) {
  Mt19937 random(2);
  const BlockType& type = *find_block_type("Q4_0");
  const QuantizedMatrix good = random_matrix(4, 4, 64, 32, random);
  EXPECT_EQ(problem(type, good), "");
  QuantizedMatrix bad = good;
  bad.symmetric = false;
  bad.zero_points = Tensor::zeros(DType::kI8, good.scales.shape());
  EXPECT_EQ(problem(type, bad), "") << "zero points in the middle say nothing";
  bad.zero_points.mutable_data<std::int8_t>()[1] = 1;
  EXPECT_THAT(problem(type, bad), HasSubstr("zero points"));
  EXPECT_THAT(problem(type, random_matrix(4, 4, 64, 16, random)), HasSubstr("whole blocks"));
  EXPECT_THAT(problem(type, random_matrix(8, 4, 64, 32, random)), HasSubstr("more bits"));
  bad = good;
  bad.scales = Tensor::of<float>({4, 2}, {0.1f, 1, 1, 1, 1, 1, 1, 1});
  EXPECT_THAT(problem(type, bad), HasSubstr("16-bit"));
  bad = good;
  bad.group_index = Tensor::zeros(DType::kI32, {64});
  EXPECT_THAT(problem(type, bad), HasSubstr("scattered"));
}

}  // namespace
}  // namespace farthing::quantize
