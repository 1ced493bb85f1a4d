#include <numeric>

#include <gmock/gmock.h>

#include "formats/bitsandbytes/quant_state.h"
#include "formats/test_module.h"
#include "scheme/blockwise.h"

namespace farthing::formats {
namespace {

using bitsandbytes::QuantState;
using testing::HasSubstr;

class Bitsandbytes : public ModuleTest {
 protected:
  // Any codes and scales will do: the methods have tests of their own.
  static QuantizedMatrix random_blocks(const scheme::Scheme& scheme, std::int64_t rows, std::int64_t columns,
                                       DType dtype, unsigned seed) {
    std::mt19937 random(seed);
    const std::int64_t block = *scheme.weights->group_size, count = rows * columns;
    const std::int64_t blocks = (count + block - 1) / block;
    QuantizedMatrix matrix{.rows = rows,
                           .columns = columns,
                           .bits = 4,
                           .type = scheme.weights->type,
                           .group_size = std::gcd(columns, block)};
    matrix.block_size = block;
    matrix.rounding = dtype;
    matrix.codes = Tensor::empty(DType::kU8, {rows, columns});
    for (std::int64_t i = 0; i < count; ++i)
      matrix.codes.mutable_data<std::uint8_t>()[i] = static_cast<std::uint8_t>(random() % 16);
    matrix.table = to_float32(random_weight(1, 16, DType::kF32, seed)).reshape({16});
    Tensor scales = random_weight(1, blocks, DType::kF32, seed + 1).reshape({blocks});
    if (scheme.weights->scale_dtype == DType::kU8) {
      NestedScales nested{.codes = Tensor::zeros(DType::kU8, {blocks}),
                          .table = random_weight(1, 256, DType::kF32).reshape({256}),
                          .scales = Tensor::zeros(DType::kF32, {(blocks + 255) / 256}),
                          .offset = 0.0437f / static_cast<float>(seed + 1)};
      for (std::int64_t b = 0; b < blocks; ++b)
        nested.codes.mutable_data<std::uint8_t>()[b] = static_cast<std::uint8_t>(random());
      scales = scheme::nested_values(nested);
      matrix.nested_scales = std::make_shared<const NestedScales>(nested);
    }
    matrix.scales = scheme::scales_by_row(scales, matrix);
    return matrix;
  }

  std::unique_ptr<WeightWriter> writer_ = writer_for("bitsandbytes");
};

TEST_F(Bitsandbytes, EveryBlockComesBack) {
  unsigned seed = 0;
  for (const std::string_view name : {"NF4", "NF4_DQ", "FP4", "FP4_DQ"}) {
    for (const std::int64_t block : {32, 64, 4096}) {
      for (const Shape& shape : {Shape{8, 64}, Shape{3, 7}, Shape{5, 100}, Shape{40, 576}}) {
        SCOPED_TRACE(fmt::format("{} block {} {}", name, block, to_string(shape)));
        scheme::Scheme scheme = scheme::preset(name);
        scheme.weights->group_size = block;
        const DType dtype = std::array{DType::kBF16, DType::kF16, DType::kF32}[++seed % 3];
        const QuantizedMatrix matrix = random_blocks(scheme, shape[0], shape[1], dtype, seed);
        const Tensors written = writer_->encode(kTestModule, scheme, matrix, pool_);
        expect_planned(writer_->plan_tensors(kTestModule, scheme, shape[0], shape[1], dtype), written);
        const auto reader = reader_of(written, config_of(*writer_, scheme));
        EXPECT_EQ(reader->scheme_of(kTestModule), scheme);
        const QuantizedMatrix read = reader->read(kTestModule);
        EXPECT_TRUE(std::ranges::equal(read.codes.bytes(), matrix.codes.bytes()));
        EXPECT_TRUE(std::ranges::equal(read.scales.bytes(), matrix.scales.bytes()));
        EXPECT_EQ(read.rounding, dtype);
        expect_same(written, writer_->encode(kTestModule, scheme, read, pool_));
      }
    }
  }
}

TEST_F(Bitsandbytes, StateIsWrittenAsPythonDoes) {
  QuantState state{.rows = 4096, .columns = 4096};
  EXPECT_EQ(bitsandbytes::quant_state_text(state),
            R"({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [4096, 4096]})");
  state.nested = QuantState::Nested{.offset = 0.04371094f};
  const std::string text = bitsandbytes::quant_state_text(state);
  EXPECT_THAT(text,
              HasSubstr(R"(], "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.04)"));
  EXPECT_EQ(bitsandbytes::parse_quant_state(text, "x").nested->offset, state.nested->offset);
  state.nested->offset = 0;
  EXPECT_EQ(bitsandbytes::quant_state_text(state).size(), text.size());
}

TEST_F(Bitsandbytes, FilesThatLieAreRefused) {
  const scheme::Scheme scheme = scheme::preset("NF4_DQ");
  const Json config = config_of(*writer_, scheme);
  const Tensors good =
      writer_->encode(kTestModule, scheme, random_blocks(scheme, 16, 100, DType::kBF16, 7), pool_);
  const auto state = [&](const std::string& text) {
    return with(
        good, "bitsandbytes__nf4",
        Tensor::of<std::uint8_t>({static_cast<std::int64_t>(text.size())},
                                 std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size())));
  };
  ASSERT_EQ(problem(good, config), "");
  EXPECT_THAT(problem(without(good, "weight.absmax"), config), HasSubstr("missing"));
  EXPECT_THAT(problem(without(good, "nested_absmax"), config), HasSubstr("missing"));
  EXPECT_THAT(problem(without(good, ".quant_map"), config), HasSubstr("missing"));
  EXPECT_THAT(problem(state("{"), config), HasSubstr("bitsandbytes__nf4"));
  EXPECT_THAT(problem(state("[]"), config), HasSubstr("not an object"));
  EXPECT_THAT(problem(state(R"({"quant_type": "fp4"})"), config), HasSubstr("blocksize"));
  const auto changed = [&](std::string_view key, const Json& value) {
    Json json = {{"quant_type", "nf4"}, {"blocksize", 64}, {"dtype", "bfloat16"}, {"shape", {16, 100}}};
    json[key] = value;
    return state(json.dump());
  };
  EXPECT_THAT(problem(changed("blocksize", 0), config), HasSubstr("blocksize"));
  EXPECT_THAT(problem(changed("shape", {16, 101}), config), HasSubstr("[16, 101]"));
  EXPECT_THAT(problem(changed("shape", {1ull << 40, 1ull << 40}), config), HasSubstr(""));
  EXPECT_THAT(problem(changed("shape", {-16, -100}), config), HasSubstr("shape"));
  EXPECT_THAT(problem(changed("dtype", "int8"), config), HasSubstr("dtype"));
  EXPECT_THAT(problem(changed("colour", 1), config), HasSubstr("colour"));
  EXPECT_THAT(problem(changed("blocksize", 64), config), HasSubstr("absmax"));  // bytes without nested scales
  EXPECT_THROW(writer_->check(scheme::preset("W4A16"), 64, 64), Error);
}

TEST_F(Bitsandbytes, EightBitsComeBack) {
  const scheme::Scheme scheme = scheme::preset("LLM_INT8");
  QuantizedMatrix matrix = round(*writer_, scheme, random_weight(12, 30, DType::kF32));
  matrix.global_scale = 127;
  const Tensors written = writer_->encode(kTestModule, scheme, matrix, pool_);
  const Json config = config_of(*writer_, scheme);
  const auto reader = reader_of(written, config);
  EXPECT_EQ(reader->scheme_of(kTestModule), scheme);
  expect_same(written, writer_->encode(kTestModule, scheme, reader->read(kTestModule), pool_));
  EXPECT_THAT(problem(with(written, ".SCB", Tensor::zeros(DType::kF32, {11})), config), HasSubstr("SCB"));
  EXPECT_THAT(
      problem(with(written, ".weight_format", Tensor::of<std::uint8_t>({1}, {std::uint8_t{2}})), config),
      HasSubstr("old kernel"));
}

}  // namespace
}  // namespace farthing::formats
