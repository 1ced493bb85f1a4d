#include <gmock/gmock.h>

#include "formats/autoawq/packing.h"
#include "formats/test_module.h"

namespace farthing::formats {
namespace {

using testing::HasSubstr;

scheme::Scheme int4(std::int64_t group_size, bool symmetric) {
  scheme::QuantizationArgs args{.num_bits = 4, .symmetric = symmetric};
  args.strategy = group_size > 0 ? scheme::Strategy::kGroup : scheme::Strategy::kChannel;
  if (group_size > 0) args.group_size = group_size;
  return {.weights = args};
}

class AutoAwq : public ModuleTest {
 protected:
  std::unique_ptr<WeightWriter> writer_ = writer_for("awq");
};

TEST_F(AutoAwq, EverySchemeComesBack) {
  unsigned seed = 0;
  for (const std::int64_t group : {-1, 32, 64, 96}) {
    for (const bool symmetric : {true, false}) {
      for (const std::int64_t rows : {8, 40}) {
        SCOPED_TRACE(fmt::format("group {} symmetric {} rows {}", group, symmetric, rows));
        const std::int64_t columns = 192;
        const QuantizedMatrix weight =
            round(*writer_, int4(group, symmetric), random_weight(rows, columns, DType::kBF16, ++seed));
        const Tensors written = writer_->encode(kTestModule, int4(group, symmetric), weight, pool_);
        expect_planned(
            writer_->plan_tensors(kTestModule, int4(group, symmetric), rows, columns, DType::kBF16), written);
        const auto reader = reader_of(written, config_of(*writer_, int4(group, symmetric)));
        const QuantizedMatrix read = reader->read(kTestModule);
        EXPECT_TRUE(std::ranges::equal(read.codes.bytes(), weight.codes.bytes()));
        EXPECT_FALSE(read.symmetric);
        expect_same(written, writer_->encode(kTestModule, int4(group, false), read, pool_));
      }
    }
  }
}

TEST_F(AutoAwq, KnownWord) {
  Tensor codes = Tensor::empty(DType::kI8, {8, 1});
  for (int i = 0; i < 8; ++i) codes.mutable_data<std::int8_t>()[i] = static_cast<std::int8_t>(i - 8);
  const Tensor words = autoawq::pack_gemm(codes, pool_);
  EXPECT_EQ(words.shape(), Shape({1, 1}));
  EXPECT_EQ(words.data<std::int32_t>()[0], 0x75316420);
  EXPECT_TRUE(std::ranges::equal(autoawq::unpack_gemm(words, pool_).bytes(), codes.bytes()));
}

TEST_F(AutoAwq, WhatTheFormatCannotHold) {
  EXPECT_THROW(writer_->check(int4(128, true), 12, 128), Error);
  EXPECT_THROW(writer_->check(int4(128, true), 16, 192), Error);
  EXPECT_THROW(writer_->check(scheme::preset("W8A16"), 16, 128), Error);
  EXPECT_THROW(writer_->check(scheme::preset("W4A8"), 16, 128), Error);
  scheme::Scheme scattered = int4(128, true);
  scattered.weights->actorder = scheme::ActivationOrder::kGroup;
  EXPECT_THROW(writer_->check(scattered, 16, 128), Error);
  const ModelQuantization mixed{.groups = {{.name = "a", .targets = {"Linear"}, .scheme = int4(128, true)},
                                           {.name = "b", .targets = {"x"}, .scheme = int4(64, true)}},
                                .ignore = {},
                                .kv_cache_scheme = {}};
  EXPECT_THROW(writer_->quantization_config(mixed), Error);
}

TEST_F(AutoAwq, IgnoredModulesBecomePartsOfNames) {
  const ModelQuantization model{.groups = {{.name = "a", .targets = {"Linear"}, .scheme = int4(128, true)}},
                                .ignore = {"lm_head", "re:.*vision_tower.*", R"(re:model\.visual\..*)"},
                                .kv_cache_scheme = {}};
  EXPECT_EQ(writer_->quantization_config(model)["modules_to_not_convert"],
            Json({"lm_head", "vision_tower", "model.visual"}));
}

TEST_F(AutoAwq, FilesThatLieAreRefused) {
  const scheme::Scheme scheme = int4(32, false);
  const Tensors good =
      writer_->encode(kTestModule, scheme, round(*writer_, scheme, random_weight(16, 128)), pool_);
  const Json config = config_of(*writer_, scheme);
  const auto changed = [&](std::string_view key, Json value) {
    Json copy = config;
    copy["quantization_config"][key] = std::move(value);
    return copy;
  };
  ASSERT_EQ(problem(good, config), "");
  EXPECT_THAT(problem(without(good, ".scales"), config), HasSubstr("missing"));
  EXPECT_THAT(problem(without(good, ".qzeros"), config), HasSubstr("missing"));
  EXPECT_THAT(problem(good, changed("bits", 3)), HasSubstr("4 bits"));
  EXPECT_THAT(problem(good, changed("version", "marlin")), HasSubstr("marlin"));
  EXPECT_THAT(problem(good, changed("version", "gemv_fast")), HasSubstr("integers"));
  EXPECT_THAT(problem(good, changed("version", "gemv")), HasSubstr("divide"));
  EXPECT_THAT(problem(good, changed("group_size", 0)), HasSubstr("group_size"));
  EXPECT_THAT(problem(good, changed("group_size", 48)), HasSubstr("divide"));
  EXPECT_THAT(problem(good, changed("group_size", 64)), HasSubstr("scales"));
  EXPECT_THAT(problem(with(good, ".qzeros", Tensor::zeros(DType::kI32, {4, 3})), config),
              HasSubstr("qzeros"));
  EXPECT_THAT(problem(with(good, ".qweight", Tensor::zeros(DType::kI32, {128})), config),
              HasSubstr("matrix"));
  EXPECT_THAT(problem(with(good, ".scales", Tensor::zeros(DType::kF32, {4, 16})), config),
              HasSubstr("scales"));
}

}  // namespace
}  // namespace farthing::formats
