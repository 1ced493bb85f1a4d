#include "tensor/tensor.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tensor/float_types.h"

namespace farthing {
namespace {

TEST(FloatTypes, EveryShortValueSurvivesARoundTrip) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto code = static_cast<std::uint16_t>(bits);
    const float half = fp16_to_float(code);
    if (!std::isnan(half)) {
      EXPECT_EQ(float_to_fp16(half), code);
    }
    const float brain = bf16_to_float(code);
    if (!std::isnan(brain)) {
      EXPECT_EQ(float_to_bf16(brain), code);
    }
  }
  for (int bits = 0; bits < 256; ++bits) {
    const auto code = static_cast<std::uint8_t>(bits);
    if (!std::isnan(fp8_e4m3_to_float(code))) {
      EXPECT_EQ(float_to_fp8_e4m3(fp8_e4m3_to_float(code)), code);
    }
    if (!std::isnan(fp8_e5m2_to_float(code))) {
      EXPECT_EQ(float_to_fp8_e5m2(fp8_e5m2_to_float(code)), code);
    }
  }
  for (int code = 0; code < 16; ++code)
    EXPECT_EQ(float_to_fp4_e2m1(fp4_e2m1_to_float(static_cast<std::uint8_t>(code))), code);
}

TEST(FloatTypes, RoundsToNearestEven) {
  EXPECT_EQ(float_to_fp8_e4m3(1.0f), 0x38);
  EXPECT_EQ(float_to_fp8_e4m3(0.1f), 0x1d);
  EXPECT_EQ(float_to_fp8_e4m3(3.3f), 0x45);
  EXPECT_EQ(float_to_fp8_e4m3(0x1p-9f), 0x01);
  EXPECT_EQ(float_to_fp8_e4m3(1e9f), 0x7e);
  const float values[] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f, 5.01f};
  const float expected[] = {0, 1, 1, 2, 2, 4, 4, 6};
  for (int i = 0; i < 8; ++i)
    EXPECT_EQ(fp4_e2m1_to_float(float_to_fp4_e2m1(values[i])), expected[i]) << values[i];
  EXPECT_EQ(round_to_bf16(1.00390625f), 1.0f);       // tie, down to even
  EXPECT_EQ(round_to_bf16(1.01171875f), 1.015625f);  // tie, up to even
  EXPECT_EQ(fp16_to_float(0x3c00), 1.0f);
  EXPECT_EQ(float_to_fp16(65519.0f), 0x7bff);
  EXPECT_EQ(float_to_fp16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_fp16(0x1p-25f), 0);  // tie to even zero
}

TEST(Tensor, RowsShareTheBytesAndCloneDoesNot) {
  Tensor matrix = Tensor::of<float>({3, 2}, {1, 2, 3, 4, 5, 6});
  Tensor middle = matrix.rows(1, 2);
  EXPECT_EQ(middle.data<float>()[1], 4);
  Tensor copy = middle.clone();
  middle.mutable_data<float>()[1] = 40;
  EXPECT_EQ(matrix.data<float>()[3], 40);
  EXPECT_EQ(copy.data<float>()[1], 4);
  EXPECT_EQ(transpose(matrix).data<float>()[1], 3);
}

TEST(Tensor, ConvertsAPart) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const Tensor tensor = from_float32(Tensor::of<float>({2, 2}, {1, 2, 3, 4}), dtype);
    float part[2] = {};
    copy_as_float32(tensor, 1, 2, part);
    EXPECT_EQ(part[0], 2);
    EXPECT_EQ(part[1], 3);
    EXPECT_THROW(copy_as_float32(tensor, 3, 2, part), Error);
  }
}

TEST(Tensor, FindsWhatIsNotFinite) {
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    EXPECT_TRUE(all_finite(from_float32(Tensor::of<float>({3}, {1, -65504, 0}), dtype)));
    EXPECT_FALSE(all_finite(from_float32(Tensor::of<float>({2}, {1, NAN}), dtype)));
    EXPECT_FALSE(all_finite(from_float32(Tensor::of<float>({2}, {-INFINITY, 1}), dtype)));
  }
  EXPECT_FALSE(all_finite(Tensor::of<double>({1}, {HUGE_VAL})));
  EXPECT_TRUE(all_finite(Tensor::of<double>({1}, {1e300})));
  EXPECT_TRUE(all_finite(Tensor::of<std::int32_t>({1}, {-1})));
}

TEST(Tensor, RefusesTheWrongElementType) {
  const Tensor matrix = Tensor::zeros(DType::kBF16, {2, 2});
  EXPECT_THROW(matrix.data<float>(), Error);
  EXPECT_NO_THROW(matrix.data<std::uint16_t>());
  EXPECT_THROW(num_elements({1LL << 40, 1LL << 40}), Error);
}

}  // namespace
}  // namespace farthing
