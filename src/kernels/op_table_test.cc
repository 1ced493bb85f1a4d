// Every op in every variant that this machine runs, against kernels/reference. What a case says once holds
// for every instruction set and every number of threads; vector instruction sets also agree with each other
// to the last bit.
#include <cmath>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/isa.h"
#include "kernels/linalg.h"
#include "kernels/linear.h"
#include "kernels/reference/attention.h"
#include "kernels/reference/elementwise.h"
#include "kernels/reference/linalg.h"
#include "kernels/reference/linear.h"

namespace farthing::kernels {
namespace {

std::vector<float> random_values(std::int64_t count, std::uint32_t seed, float spread = 1.0f) {
  std::mt19937 generator(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = spread * (static_cast<float>(generator() >> 8) * 0x1p-23f - 1.0f);
  return values;
}

/// Runs `op(values, pool)` on copies of `start` for every instruction set and several numbers of threads. All
/// of them must leave the same bytes on one instruction set and on all vector instruction sets;
/// `check(values, isa)` sees each result once.
template <typename Op, typename Check>
void for_every_variant(const std::vector<float>& start, const Op& op, const Check& check) {
  std::vector<float> vector_result;
  for (const Isa isa : runnable_isas()) {
    const ForcedIsa forced(isa);
    SCOPED_TRACE(isa_name(isa));
    std::vector<float> first;
    for (const int threads : {1, 2, 5}) {
      ThreadPool pool(threads);
      std::vector<float> values = start;
      op(values, pool);
      if (first.empty()) first = values;
      ASSERT_EQ(std::memcmp(values.data(), first.data(), values.size() * sizeof(float)), 0)
          << threads << " threads";
    }
    check(first, isa);
    if (isa == Isa::kScalar) continue;
    if (vector_result.empty()) vector_result = first;
    EXPECT_EQ(std::memcmp(first.data(), vector_result.data(), first.size() * sizeof(float)), 0)
        << "differs from avx2";
  }
}

// ---- linear ----

struct WeightCase {
  std::string name;
  DType dense = DType::kF32;  // with bits == 0
  int bits = 0;
  std::int64_t group_size = 0;  // 0: a scale per channel; -1: one scale
  bool symmetric = true;
  DType scale_type = DType::kF32;
  bool activation_order = false;
  NumberType type = NumberType::kInt;
  std::int64_t block_rows = 0;
};

struct LinearShape {
  std::int64_t m, n, k;
};

QuantizedMatrix random_quantized(const WeightCase& c, std::int64_t n, std::int64_t k) {
  std::mt19937 generator(7);
  QuantizedMatrix weight{.rows = n, .columns = k, .bits = c.bits, .type = c.type, .symmetric = c.symmetric};
  weight.group_size = c.group_size > 0 ? c.group_size : k;
  weight.granularity = c.block_rows > 0    ? Granularity::kBlock
                       : c.group_size > 0  ? Granularity::kGroup
                       : c.group_size == 0 ? Granularity::kChannel
                                           : Granularity::kTensor;
  weight.block_rows = std::max<std::int64_t>(1, c.block_rows);
  const bool fp8 = c.type == NumberType::kFloat && c.bits == 8;
  weight.codes = Tensor::empty(fp8                          ? DType::kF8E4M3
                               : c.type != NumberType::kInt ? DType::kU8
                                                            : DType::kI8,
                               {n, k});
  const int highest = (1 << c.bits) - 1, offset = c.type == NumberType::kInt ? 1 << (c.bits - 1) : 0;
  for (std::byte& code : weight.codes.mutable_bytes()) {
    int value = static_cast<int>(generator() % static_cast<unsigned>(highest + 1)) - offset;
    if (fp8 && (value & 0x7f) == 0x7f) value = 0;  // NaN
    code = static_cast<std::byte>(value);
  }
  if (c.type == NumberType::kNf4) {
    weight.table = Tensor::empty(DType::kF32, {16});
    for (int i = 0; i < 16; ++i)
      weight.table.mutable_data<float>()[i] = static_cast<float>(generator() % 2001) / 1000.0f - 1.0f;
  }
  const std::int64_t scale_rows = (n + weight.rows_per_scale() - 1) / weight.rows_per_scale();
  const std::int64_t groups = (k + weight.group_size - 1) / weight.group_size;
  Tensor scales = Tensor::empty(DType::kF32, {scale_rows, groups});
  for (std::int64_t i = 0; i < scales.numel(); ++i) {
    scales.mutable_data<float>()[i] = 0.01f + 0.001f * static_cast<float>(generator() % 64);
  }
  weight.scales = from_float32(scales, c.scale_type);
  if (!c.symmetric) {
    weight.zero_points = Tensor::empty(DType::kI8, {scale_rows, groups});
    for (std::byte& zero : weight.zero_points.mutable_bytes()) {
      zero =
          static_cast<std::byte>(static_cast<int>(generator() % static_cast<unsigned>(highest + 1)) - offset);
    }
  }
  if (c.activation_order) {
    weight.group_index = Tensor::empty(DType::kI32, {k});
    std::int32_t* index = weight.group_index.mutable_data<std::int32_t>();
    for (std::int64_t i = 0; i < k; ++i) index[i] = static_cast<std::int32_t>(i / weight.group_size);
    std::shuffle(index, index + k, generator);
  }
  return weight;
}

void check_linear(const Tensor& values, const auto& pack, const LinearShape& s) {
  const float* w = values.data<float>();
  const std::vector<float> x = random_values(s.m * s.k, 1), bias = random_values(s.n, 2);
  std::vector<float> expected(static_cast<std::size_t>(s.m * s.n)), bound(expected);
  reference::linear(x.data(), s.m, w, s.n, s.k, bias.data(), expected.data(), s.n);
  for (std::int64_t i = 0; i < s.m * s.n; ++i) {
    double sum = 1e-30 + std::fabs(bias[i % s.n]);
    for (std::int64_t k = 0; k < s.k; ++k)
      sum += std::fabs(static_cast<double>(x[i / s.n * s.k + k]) * w[i % s.n * s.k + k]);
    bound[i] = static_cast<float>(1e-5 * sum);
  }
  const std::vector<float> junk(expected.size(), -77.0f);
  for_every_variant(
      junk,
      [&](std::vector<float>& y, ThreadPool& pool) {
        linear(x.data(), s.m, pack(), bias.data(), y.data(), pool);
      },
      [&](const std::vector<float>& y, Isa) {
        for (std::size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(y[i], expected[i], bound[i]) << "at " << i;
        const Tensor unpacked = unpack_weight(pack());
        for (std::int64_t i = 0; i < values.numel(); ++i)
          ASSERT_EQ(unpacked.data<float>()[i], w[i]) << "unpacked " << i;
        // A row does not depend on its company.
        ThreadPool pool(2);
        std::vector<float> alone(static_cast<std::size_t>(s.n));
        linear(x.data() + (s.m - 1) * s.k, 1, pack(), bias.data(), alone.data(), pool);
        EXPECT_EQ(std::memcmp(alone.data(), y.data() + (s.m - 1) * s.n, alone.size() * sizeof(float)), 0)
            << "row alone";
      });
}

class LinearOp : public testing::TestWithParam<WeightCase> {};

TEST_P(LinearOp, MatchesReference) {
  const WeightCase& c = GetParam();
  constexpr LinearShape kShapes[] = {{1, 1, 1},     {1, 17, 33},   {1, 64, 256},   {1, 130, 515},
                                     {2, 48, 300},  {3, 65, 70},   {5, 31, 96},    {7, 100, 257},
                                     {14, 32, 512}, {15, 80, 128}, {29, 37, 1030}, {300, 70, 90}};
  for (const LinearShape& s : kShapes) {
    SCOPED_TRACE(fmt::format("m={} n={} k={}", s.m, s.n, s.k));
    if (c.bits == 0) {
      const Tensor weight = from_float32(Tensor::of<float>({s.n, s.k}, random_values(s.n * s.k, 3)), c.dense);
      check_linear(
          to_float32(weight), [&] { return pack_weight(weight); }, s);
    } else {
      const QuantizedMatrix weight = random_quantized(c, s.n, s.k);
      check_linear(
          reference::dequantize(weight), [&] { return pack_weight(weight); }, s);
    }
    if (HasFatalFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Weights, LinearOp,
    testing::Values(
        WeightCase{"f32"}, WeightCase{"bf16", DType::kBF16}, WeightCase{"f16", DType::kF16},
        WeightCase{.name = "w4_group128", .bits = 4, .group_size = 128, .scale_type = DType::kBF16},
        WeightCase{.name = "w4_group32_asymmetric",
                   .bits = 4,
                   .group_size = 32,
                   .symmetric = false,
                   .scale_type = DType::kF16},
        WeightCase{.name = "w4_group64_ordered",
                   .bits = 4,
                   .group_size = 64,
                   .symmetric = false,
                   .activation_order = true},
        WeightCase{.name = "w4_group20", .bits = 4, .group_size = 20, .symmetric = false},
        WeightCase{.name = "w4_group7", .bits = 4, .group_size = 7},
        WeightCase{.name = "w4_group1", .bits = 4, .group_size = 1},
        WeightCase{.name = "w4_group300", .bits = 4, .group_size = 300},
        WeightCase{.name = "w4_channel", .bits = 4},
        WeightCase{.name = "w4_tensor", .bits = 4, .group_size = -1},
        WeightCase{.name = "w2_group16", .bits = 2, .group_size = 16},
        WeightCase{.name = "w3_group64", .bits = 3, .group_size = 64, .symmetric = false},
        WeightCase{.name = "w5_group32", .bits = 5, .group_size = 32},
        WeightCase{.name = "w6_group32", .bits = 6, .group_size = 32},
        WeightCase{.name = "w7_group9", .bits = 7, .group_size = 9, .symmetric = false},
        WeightCase{.name = "table4_group64", .bits = 4, .group_size = 64, .type = NumberType::kNf4},
        WeightCase{.name = "table4_group11", .bits = 4, .group_size = 11, .type = NumberType::kNf4},
        WeightCase{.name = "table4_channel", .bits = 4, .type = NumberType::kNf4},
        WeightCase{.name = "w8_channel", .bits = 8},
        WeightCase{.name = "w8_tensor_asymmetric", .bits = 8, .group_size = -1, .symmetric = false},
        WeightCase{.name = "w8_group128",
                   .bits = 8,
                   .group_size = 128,
                   .symmetric = false,
                   .scale_type = DType::kBF16},
        WeightCase{.name = "w8_group32_ordered", .bits = 8, .group_size = 32, .activation_order = true},
        WeightCase{.name = "w8_block", .bits = 8, .group_size = 32, .block_rows = 24},
        WeightCase{.name = "fp8_channel", .bits = 8, .type = NumberType::kFloat},
        WeightCase{
            .name = "fp8_block", .bits = 8, .group_size = 128, .type = NumberType::kFloat, .block_rows = 128},
        WeightCase{.name = "fp4_group16", .bits = 4, .group_size = 16, .type = NumberType::kFloat}),
    [](const auto& info) { return info.param.name; });

// ---- linear algebra ----

TEST(GramOp, MatchesReference) {
  constexpr std::pair<std::int64_t, std::int64_t> kShapes[] = {{1, 1},    {5, 17},    {64, 48},
                                                               {300, 33}, {257, 130}, {40, 301}};
  for (const auto& shape : kShapes) {
    const auto tokens = shape.first, size = shape.second;
    SCOPED_TRACE(fmt::format("tokens={} size={}", tokens, size));
    const std::vector<float> x = random_values(tokens * size, 4), start = random_values(size * size, 5);
    std::vector<float> expected = start;
    reference::accumulate_gram(x.data(), tokens, size, 0.25f, expected.data(), 0, size);
    for_every_variant(
        start,
        [&](std::vector<float>& h, ThreadPool& pool) {
          accumulate_gram(x.data(), tokens, size, 0.25f, h.data(), pool);
        },
        [&](const std::vector<float>& h, Isa) {
          for (std::int64_t i = 0; i < size * size; ++i) {
            if (i % size < i / size) {
              ASSERT_EQ(h[i], start[i]) << "the lower triangle is left alone";
            }
            ASSERT_NEAR(h[i], expected[i], 1e-5 * static_cast<double>(tokens) + 1e-6);
          }
        });
  }
}

TEST(ProductSumOp, MatchesReference) {
  for (const auto& shape : {std::pair<std::int64_t, std::int64_t>{1, 1}, {5, 17}, {300, 33}, {40, 301}}) {
    const auto tokens = shape.first, size = shape.second;
    SCOPED_TRACE(fmt::format("tokens={} size={}", tokens, size));
    const std::vector<float> a = random_values(tokens * size, 4), b = random_values(tokens * size, 9),
                             start = random_values(size * size, 5);
    std::vector<float> expected = start;
    for (std::int64_t i = 0; i < size * size; ++i) {
      for (std::int64_t t = 0; t < tokens; ++t)
        expected[i] += 0.25f * a[t * size + i / size] * b[t * size + i % size];
    }
    for_every_variant(
        start,
        [&](std::vector<float>& sum, ThreadPool& pool) {
          accumulate_product(a.data(), b.data(), tokens, size, 0.25f, sum.data(), pool);
        },
        [&](const std::vector<float>& sum, Isa) {
          for (std::size_t i = 0; i < sum.size(); ++i)
            ASSERT_NEAR(sum[i], expected[i], 1e-5 * static_cast<double>(tokens) + 1e-6);
        });
  }
}

TEST(SubtractProductTransposedOp, MatchesReference) {
  struct Shape {
    std::int64_t m, n, k;
  };
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{13, 50, 128}, Shape{31, 17, 300}}) {
    const auto m = shape.m, n = shape.n, k = shape.k;
    SCOPED_TRACE(fmt::format("m={} n={} k={}", m, n, k));
    const std::vector<float> a = random_values(m * k, 6), b = random_values(n * k, 7),
                             start = random_values(m * n, 8);
    std::vector<float> expected = start;
    for (std::int64_t i = 0; i < m * n; ++i) {
      for (std::int64_t j = 0; j < k; ++j) expected[i] -= a[i / n * k + j] * b[i % n * k + j];
    }
    for_every_variant(
        start,
        [&](std::vector<float>& c, ThreadPool& pool) {
          subtract_product_transposed(a.data(), b.data(), m, n, k, c.data(), pool);
        },
        [&](const std::vector<float>& c, Isa) {
          for (std::size_t i = 0; i < c.size(); ++i)
            ASSERT_NEAR(c[i], expected[i], 1e-5 * static_cast<double>(k));
        });
  }
}

TEST(SubtractProductOp, MatchesReference) {
  struct Shape {
    std::int64_t m, n, k;
  };
  for (const Shape& shape :
       {Shape{1, 1, 1}, Shape{1, 40, 9}, Shape{13, 50, 128}, Shape{31, 17, 300}, Shape{260, 64, 40}}) {
    const auto m = shape.m, n = shape.n, k = shape.k;
    SCOPED_TRACE(fmt::format("m={} n={} k={}", m, n, k));
    const std::int64_t a_stride = k + 3, b_stride = n + 5, c_stride = n + 2;
    const std::vector<float> a = random_values(m * a_stride, 6), b = random_values(k * b_stride, 7),
                             start = random_values(m * c_stride, 8);
    std::vector<float> expected = start;
    reference::subtract_product(a.data(), a_stride, b.data(), b_stride, m, n, k, expected.data(), c_stride);
    for_every_variant(
        start,
        [&](std::vector<float>& c, ThreadPool& pool) {
          subtract_product(a.data(), a_stride, b.data(), b_stride, m, n, k, c.data(), c_stride, pool);
        },
        [&](const std::vector<float>& c, Isa) {
          for (std::size_t i = 0; i < c.size(); ++i)
            ASSERT_NEAR(c[i], expected[i], 1e-5 * static_cast<double>(k));
        });
  }
}

// ---- elementwise ----

void expect_near(const std::vector<float>& values, const std::vector<float>& expected, double relative,
                 double absolute) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_NEAR(values[i], expected[i], absolute + relative * std::fabs(expected[i])) << "at " << i;
  }
}

constexpr std::int64_t kWidths[] = {1, 7, 8, 15, 16, 17, 63, 100, 576, 1031};

TEST(NormOps, MatchReference) {
  constexpr std::int64_t kRows = 37;
  for (const std::int64_t columns : kWidths) {
    SCOPED_TRACE(columns);
    std::vector<float> x = random_values(kRows * columns, 11, 3.0f);
    for (float& value : x) value += 5.0f;  // a mean far from zero
    const std::vector<float> weight = random_values(columns, 12), bias = random_values(columns, 13);
    for (const bool plain : {true, false}) {
      const float* w = plain ? nullptr : weight.data();
      const float* b = plain ? nullptr : bias.data();
      std::vector<float> expected = x;
      reference::rms_norm(x.data(), kRows, columns, w, 1e-6f, 1.0f, expected.data());
      for_every_variant(
          x,
          [&](std::vector<float>& y, ThreadPool& pool) {
            rms_norm(y.data(), kRows, columns, w, 1e-6f, 1.0f, y.data(), pool);
          },
          [&](const std::vector<float>& y, Isa) { expect_near(y, expected, 5e-7, 1e-9); });
      reference::layer_norm(x.data(), kRows, columns, w, b, 1e-5f, expected.data());
      for_every_variant(
          x,
          [&](std::vector<float>& y, ThreadPool& pool) {
            layer_norm(y.data(), kRows, columns, w, b, 1e-5f, y.data(), pool);
          },
          [&](const std::vector<float>& y, Isa) { expect_near(y, expected, 1e-6, 2e-6); });
    }
  }
}

TEST(ActivationOps, MatchReference) {
  std::vector<float> x = random_values(20000, 14, 12.0f);
  for (const float value : {0.0f, -0.0f, 1e-30f, -1e-30f, 88.0f, -88.0f, 104.0f, -104.0f, 1e18f, -1e18f})
    x.push_back(value);
  const auto count = static_cast<std::int64_t>(x.size());
  const std::vector<float> up = random_values(count, 15);
  for (const Activation activation :
       {Activation::kNone, Activation::kGelu, Activation::kGeluTanh, Activation::kQuickGelu,
        Activation::kSilu, Activation::kRelu, Activation::kReluSquared}) {
    SCOPED_TRACE(static_cast<int>(activation));
    std::vector<float> expected = x;
    reference::activate(activation, expected.data(), count);
    for_every_variant(
        x, [&](std::vector<float>& y, ThreadPool& pool) { activate(activation, y.data(), count, pool); },
        [&](const std::vector<float>& y, Isa) { expect_near(y, expected, 5e-7, 2e-7); });
    expected = x;
    reference::gated_activate(activation, expected.data(), up.data(), count);
    for_every_variant(
        x,
        [&](std::vector<float>& y, ThreadPool& pool) {
          gated_activate(activation, y.data(), 7, up.data(), 7, count / 7, 7, pool);
          gated_activate(activation, y.data() + count / 7 * 7, 7, up.data() + count / 7 * 7, 7, 1, count % 7,
                         pool);
        },
        [&](const std::vector<float>& y, Isa) { expect_near(y, expected, 6e-7, 2e-7); });
  }
}

TEST(ActivationOps, KeepNaN) {
  for (const Isa isa : runnable_isas()) {
    const ForcedIsa forced(isa);
    ThreadPool pool(1);
    for (const Activation activation : {Activation::kGelu, Activation::kGeluTanh, Activation::kQuickGelu,
                                        Activation::kSilu, Activation::kRelu, Activation::kReluSquared}) {
      std::vector<float> x(20, std::nanf(""));
      activate(activation, x.data(), 20, pool);
      for (const float value : x)
        EXPECT_TRUE(std::isnan(value)) << isa_name(isa) << static_cast<int>(activation);
    }
  }
}

TEST(AddOp, MatchesReference) {
  for (const std::int64_t count : {1, 7, 16, 33, 100003}) {
    const std::vector<float> x = random_values(count, 16), y = random_values(count, 17);
    std::vector<float> expected = x;
    reference::add(expected.data(), y.data(), count);
    for_every_variant(
        x, [&](std::vector<float>& sum, ThreadPool& pool) { add(sum.data(), y.data(), count, pool); },
        [&](const std::vector<float>& sum, Isa) { EXPECT_EQ(sum, expected); });
  }
}

TEST(RotateOp, MatchesReference) {
  constexpr std::int64_t kRows = 21, kHeads = 3, kStride = 1000;
  for (const auto& [head_dim, rotary_dim] :
       {std::pair<std::int64_t, std::int64_t>{64, 64}, {80, 32}, {128, 128}, {96, 34}, {6, 6}}) {
    for (const RotaryStyle style : {RotaryStyle::kHalves, RotaryStyle::kNeighbours}) {
      SCOPED_TRACE(
          fmt::format("head_dim={} rotary_dim={} style={}", head_dim, rotary_dim, static_cast<int>(style)));
      const std::vector<float> x = random_values(kRows * kStride, 18);
      std::vector<float> cosine = random_values(kRows * rotary_dim / 2, 19), sine = cosine;
      for (std::size_t i = 0; i < cosine.size(); ++i) {
        cosine[i] = std::cos(9.0f * sine[i]);
        sine[i] = std::sin(9.0f * sine[i]);
      }
      std::vector<float> expected = x;
      for (std::int64_t row = 0; row < kRows; ++row) {
        reference::rotate(expected.data() + row * kStride, kHeads, head_dim, rotary_dim, style,
                          cosine.data() + row * rotary_dim / 2, sine.data() + row * rotary_dim / 2);
      }
      for_every_variant(
          x,
          [&, dim = head_dim, rotary = rotary_dim](std::vector<float>& y, ThreadPool& pool) {
            rotate(y.data(), kRows, kStride, kHeads, dim, rotary, style, cosine.data(), sine.data(), pool);
          },
          [&](const std::vector<float>& y, Isa) { expect_near(y, expected, 0, 2e-7); });
    }
  }
}

TEST(LogSumExpOp, MatchesReference) {
  for (const std::int64_t count : {1, 2, 15, 16, 17, 1000, 50257}) {
    std::vector<float> x = random_values(count, 20, 15.0f);
    x[static_cast<std::size_t>(count / 2)] = x[static_cast<std::size_t>(count - 1)] = 30.0f;  // a tie
    std::int64_t expected_index;
    const double expected = reference::log_sum_exp(x.data(), count, &expected_index);
    for (const Isa isa : runnable_isas()) {
      const ForcedIsa forced(isa);
      std::int64_t index;
      EXPECT_NEAR(log_sum_exp(x.data(), count, &index), expected, 1e-7) << isa_name(isa);
      EXPECT_EQ(index, expected_index);
    }
  }
}

TEST(LogSumExpOp, OfInfinitiesAndNaN) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const Isa isa : runnable_isas()) {
    const ForcedIsa forced(isa);
    std::vector<float> x(40, -kInfinity);
    std::int64_t index;
    EXPECT_EQ(log_sum_exp(x.data(), 40, &index), -kInfinity);
    EXPECT_EQ(index, 0);
    x[33] = 2.0f;
    EXPECT_EQ(log_sum_exp(x.data(), 40, &index), 2.0);
    EXPECT_EQ(index, 33);
    x[5] = std::nanf("");
    EXPECT_TRUE(std::isnan(log_sum_exp(x.data(), 40, &index)));
  }
}

// ---- attention ----

struct AttentionExtras {
  float softcap = 0.0f;
  bool causal = true;
  std::int64_t window = 0;
  bool alibi = false;
  bool mask = false;
  bool sinks = false;
};

struct AttentionCase {
  std::string name;
  std::int64_t queries, keys, query_offset, head_dim, value_dim, num_heads, num_key_value_heads;
  AttentionExtras extras = {};
};

class AttentionOp : public testing::TestWithParam<AttentionCase> {};

TEST_P(AttentionOp, MatchesReference) {
  const AttentionCase& c = GetParam();
  const std::int64_t value_dim = c.value_dim == 0 ? c.head_dim : c.value_dim;
  const std::int64_t q_stride = c.num_heads * c.head_dim + 8,
                     k_stride = c.num_key_value_heads * c.head_dim + 3,
                     v_stride = c.num_key_value_heads * value_dim + 5;
  const std::vector<float> q = random_values(c.queries * q_stride, 21, 2.0f),
                           k = random_values(c.keys * k_stride, 22, 2.0f),
                           v = random_values(c.keys * v_stride, 23),
                           slopes = random_values(c.num_heads, 24, 0.3f),
                           sinks = random_values(c.num_heads, 25, 3.0f);
  std::vector<std::uint8_t> visible(static_cast<std::size_t>(c.queries * c.keys));
  for (std::size_t i = 0; i < visible.size(); ++i)
    visible[i] = i % 3 != 0 && static_cast<std::int64_t>(i) / c.keys != 1;  // row 1: nothing
  const AttentionShape shape{.num_heads = c.num_heads,
                             .num_key_value_heads = c.num_key_value_heads,
                             .head_dim = c.head_dim,
                             .value_dim = c.value_dim,
                             .scale = 0.4f,
                             .softcap = c.extras.softcap,
                             .causal = c.extras.causal,
                             .window = c.extras.window,
                             .alibi_slopes = c.extras.alibi ? slopes.data() : nullptr,
                             .sinks = c.extras.sinks ? sinks.data() : nullptr,
                             .visible = c.extras.mask ? visible.data() : nullptr};
  std::vector<float> expected(static_cast<std::size_t>(c.queries * c.num_heads * value_dim));
  reference::attention(shape, q.data(), q_stride, c.queries, c.query_offset, k.data(), k_stride, v.data(),
                       v_stride, c.keys, expected.data());
  for_every_variant(
      std::vector<float>(expected.size(), -77.0f),
      [&](std::vector<float>& out, ThreadPool& pool) {
        attention(shape, q.data(), q_stride, c.queries, c.query_offset, k.data(), k_stride, v.data(),
                  v_stride, c.keys, out.data(), pool);
      },
      [&](const std::vector<float>& out, Isa) { expect_near(out, expected, 1e-5, 4e-6); });
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, AttentionOp,
    testing::Values(AttentionCase{"one_key", 1, 1, 0, 64, 0, 2, 2},
                    AttentionCase{"decode", 1, 300, 299, 64, 0, 4, 4},
                    AttentionCase{"decode_grouped", 1, 1100, 1099, 128, 0, 8, 2},
                    AttentionCase{"decode_odd", 1, 77, 76, 37, 0, 3, 1},
                    AttentionCase{"decode_window", 1, 700, 699, 80, 0, 4, 4, {.window = 100}},
                    AttentionCase{"three_queries", 3, 600, 597, 96, 0, 4, 2},
                    AttentionCase{"prefill", 70, 70, 0, 64, 0, 4, 4},
                    AttentionCase{"prefill_grouped", 129, 129, 0, 128, 0, 4, 1},
                    AttentionCase{"prefill_odd", 33, 33, 0, 37, 21, 2, 1},
                    AttentionCase{"prefill_after", 40, 300, 260, 80, 0, 2, 2},
                    AttentionCase{"wide_values", 20, 200, 180, 24, 72, 2, 1},
                    AttentionCase{"vision", 197, 197, 0, 72, 0, 2, 2, {.causal = false}},
                    AttentionCase{"window", 200, 300, 100, 64, 0, 2, 1, {.window = 50}},
                    AttentionCase{"softcap", 60, 60, 0, 64, 0, 2, 2, {.softcap = 3.0f}},
                    AttentionCase{"alibi", 60, 160, 100, 64, 0, 4, 4, {.alibi = true}},
                    AttentionCase{"mask", 60, 150, 90, 64, 0, 2, 1, {.mask = true}},
                    AttentionCase{
                        "mask_few", 3, 150, 90, 64, 0, 2, 1, {.softcap = 5.0f, .alibi = true, .mask = true}},
                    AttentionCase{"sinks", 60, 160, 100, 64, 0, 4, 2, {.window = 30, .sinks = true}},
                    AttentionCase{"sinks_few", 2, 1100, 1098, 64, 0, 4, 2, {.window = 30, .sinks = true}},
                    AttentionCase{"sees_nothing", 20, 30, -10, 64, 0, 2, 2},
                    AttentionCase{"no_keys", 2, 0, 0, 64, 0, 2, 2}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace farthing::kernels
