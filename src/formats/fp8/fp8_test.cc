#include <gmock/gmock.h>

#include "formats/test_module.h"

namespace farthing::formats {
namespace {

using testing::HasSubstr;

class Fp8 : public ModuleTest {
 protected:
  static Json config(Json block) {
    block["quant_method"] = block.value("quant_method", "fp8");
    return Json{{"quantization_config", std::move(block)}};
  }
  Tensors checkpoint_of(const scheme::QuantizationArgs& args, std::string_view scale_name, DType dtype) {
    weight_ = scheme::quantize(random_weight(200, 300), args,
                               scheme::observe(random_weight(200, 300), args, {.model_dtype = dtype}, pool_),
                               pool_);
    return {{fmt::format("{}.weight", kTestModule), weight_.codes},
            {fmt::format("{}.{}", kTestModule, scale_name), weight_.scales}};
  }
  void expect_values(const QuantizedMatrix& read) {
    const Tensor a = scheme::dequantize(read, pool_), b = scheme::dequantize(weight_, pool_);
    EXPECT_TRUE(std::ranges::equal(a.bytes(), b.bytes()));
  }
  QuantizedMatrix weight_;
};

TEST_F(Fp8, BlocksOfDeepSeek) {
  const Tensors tensors =
      checkpoint_of(*scheme::preset("FP8_BLOCK").weights, "weight_scale_inv", DType::kF32);
  const Json block = config({{"weight_block_size", {128, 128}}, {"activation_scheme", "dynamic"}});
  const auto reader = reader_of(tensors, block);
  EXPECT_EQ(reader->modules(), std::vector<std::string>{kTestModule});
  EXPECT_EQ(reader->scheme_of(kTestModule), scheme::preset("FP8_BLOCK"));
  EXPECT_EQ(reader->describe(kTestModule).columns, 300);
  expect_values(reader->read(kTestModule));
  EXPECT_THAT(problem(tensors, config({{"weight_block_size", {0, 128}}})), HasSubstr("weight_block_size"));
  EXPECT_THAT(problem(tensors, config({{"weight_block_size", {64, 128}}})), HasSubstr("[4, 3]"));
  EXPECT_THAT(problem(without(tensors, "weight_scale_inv"), block), HasSubstr("missing"));
  EXPECT_THAT(problem(with(tensors, "weight_scale_inv", Tensor::zeros(DType::kI32, {2, 3})), block),
              HasSubstr("floating-point"));
}

TEST_F(Fp8, ScalesOfRowsAndOfTheTensor) {
  scheme::QuantizationArgs args = *scheme::preset("FP8_DYNAMIC").weights;
  expect_values(
      reader_of(checkpoint_of(args, "weight_scale", DType::kF32), config({{"quant_method", "fbgemm_fp8"}}))
          ->read(kTestModule));
  args.strategy = scheme::Strategy::kTensor;
  const auto reader =
      reader_of(checkpoint_of(args, "weight_scale", DType::kF32), config({{"activation_scheme", "static"}}));
  EXPECT_EQ(reader->scheme_of(kTestModule).weights->strategy, scheme::Strategy::kTensor);
  expect_values(reader->read(kTestModule));
}

}  // namespace
}  // namespace farthing::formats
