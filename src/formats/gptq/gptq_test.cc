#include <gmock/gmock.h>

#include "formats/test_module.h"

namespace farthing::formats {
namespace {

using testing::HasSubstr;

scheme::Scheme integers(int bits, std::int64_t group_size, bool symmetric) {
  scheme::QuantizationArgs args{.num_bits = bits, .symmetric = symmetric};
  args.strategy = group_size > 0 ? scheme::Strategy::kGroup : scheme::Strategy::kChannel;
  if (group_size > 0) args.group_size = group_size;
  return {.weights = args};
}

class Gptq : public ModuleTest {
 protected:
  Tensors encode(const scheme::Scheme& scheme, std::int64_t rows = 64, std::int64_t columns = 128) {
    return writer_->encode(kTestModule, scheme, round(*writer_, scheme, random_weight(rows, columns)), pool_);
  }

  // A matrix whose columns are dealt to the groups like cards.
  QuantizedMatrix scattered(const scheme::Scheme& scheme, std::int64_t rows, std::int64_t columns) {
    QuantizedMatrix weight = round(*writer_, scheme, random_weight(rows, columns));
    weight.group_index = Tensor::empty(DType::kI32, {columns});
    for (std::int64_t i = 0; i < columns; ++i)
      weight.group_index.mutable_data<std::int32_t>()[i] = static_cast<std::int32_t>(i % weight.num_groups());
    return weight;
  }

  std::unique_ptr<WeightWriter> writer_ = writer_for("gptq_v2");
};

TEST_F(Gptq, EverySchemeComesBack) {
  unsigned seed = 0;
  for (const std::string name : {"gptq", "gptq_v2"}) {
    writer_ = writer_for(name);
    for (const int bits : {2, 3, 4, 8}) {
      for (const std::int64_t group : {-1, 32, 96}) {
        for (const bool symmetric : {true, false}) {
          if (!symmetric && name == "gptq") continue;
          SCOPED_TRACE(fmt::format("{} {} bits group {} {}", name, bits, group, symmetric));
          const scheme::Scheme scheme = integers(bits, group, symmetric);
          const std::int64_t rows = 32 * (1 + seed % 3), columns = 96 * (1 + seed % 2);
          const QuantizedMatrix weight =
              round(*writer_, scheme, random_weight(rows, columns, DType::kF16, ++seed));
          const Tensors written = writer_->encode(kTestModule, scheme, weight, pool_);
          expect_planned(writer_->plan_tensors(kTestModule, scheme, rows, columns, DType::kF16), written);
          const auto reader = reader_of(written, config_of(*writer_, scheme));
          const QuantizedMatrix read = reader->read(kTestModule);
          EXPECT_TRUE(std::ranges::equal(read.codes.bytes(), weight.codes.bytes()));
          EXPECT_EQ(read.symmetric, symmetric);
          EXPECT_EQ(reader->scheme_of(kTestModule), scheme);
          expect_same(written, writer_->encode(kTestModule, scheme, read, pool_));
        }
      }
    }
  }
}

TEST_F(Gptq, ScatteredGroupsComeBack) {
  scheme::Scheme scheme = integers(4, 32, true);
  scheme.weights->actorder = scheme::ActivationOrder::kGroup;
  const QuantizedMatrix weight = scattered(scheme, 64, 128);
  const Tensors written = writer_->encode(kTestModule, scheme, weight, pool_);
  const Json config = config_of(*writer_, scheme);
  EXPECT_EQ(config["quantization_config"]["desc_act"], true);
  const QuantizedMatrix read = reader_of(written, config)->read(kTestModule);
  EXPECT_TRUE(std::ranges::equal(read.group_index.bytes(), weight.group_index.bytes()));
  expect_same(written, writer_->encode(kTestModule, scheme, read, pool_));
}

TEST_F(Gptq, KnownWords) {
  writer_ = writer_for("gptq");
  const scheme::Scheme scheme = integers(4, 32, true);
  Tensors written = encode(scheme);
  EXPECT_EQ(tensor(written, ".qzeros").data<std::int32_t>()[0], 0x77777777);
  writer_ = writer_for("gptq_v2");
  written = encode(scheme);
  EXPECT_EQ(static_cast<std::uint32_t>(tensor(written, ".qzeros").data<std::int32_t>()[0]), 0x88888888u);
  QuantizedMatrix counting = round(*writer_, integers(3, -1, true), random_weight(32, 32));
  for (std::int64_t i = 0; i < counting.codes.numel(); ++i)
    counting.codes.mutable_data<std::int8_t>()[i] = static_cast<std::int8_t>(i % 32 % 8 - 4);
  written = writer_->encode(kTestModule, integers(3, -1, true), counting, pool_);
  const Tensor& words = tensor(written, ".qweight");
  EXPECT_EQ(words.shape(), Shape({3, 32}));
  const std::array<std::uint32_t, 3> expected = {0x88FAC688, 0xC688FAC6, 0xFAC688FA};
  for (std::int64_t i = 0; i < 3; ++i)
    EXPECT_EQ(static_cast<std::uint32_t>(words.data<std::int32_t>()[i * 32]), expected[i]);
}

// GPTQModel takes the one away from whole words and gives it back the same way.
TEST_F(Gptq, ZeroPointsBorrowFromTheirNeighbours) {
  const scheme::Scheme scheme = integers(4, -1, false);
  QuantizedMatrix weight = round(*writer_, scheme, random_weight(32, 32));
  for (std::int64_t row = 0; row < 32; ++row)
    weight.zero_points.mutable_data<std::int8_t>()[row] = static_cast<std::int8_t>(row % 16 - 8);
  Tensors written = writer_->encode(kTestModule, scheme, weight, pool_);
  Tensor words = tensor(written, ".qzeros").clone();
  for (std::int64_t i = 0; i < words.numel(); ++i)
    words.mutable_data<std::int32_t>()[i] =
        static_cast<std::int32_t>(static_cast<std::uint32_t>(words.data<std::int32_t>()[i]) - 0x11111111u);
  Json config = config_of(*writer_, scheme);
  config["quantization_config"]["checkpoint_format"] = "gptq";
  const QuantizedMatrix read = reader_of(with(written, ".qzeros", words), config)->read(kTestModule);
  EXPECT_TRUE(std::ranges::equal(read.zero_points.bytes(), weight.zero_points.bytes()));
}

TEST_F(Gptq, AsymmetricWeightsNeedVersionTwo) {
  const scheme::Scheme symmetric = integers(4, 32, true), asymmetric = integers(4, 32, false);
  const auto first = writer_for("gptq");
  EXPECT_EQ(first->name_for(std::vector{symmetric}), "gptq");
  EXPECT_EQ(first->name_for(std::vector{symmetric, asymmetric}), "gptq_v2");
  EXPECT_THROW(first->check(asymmetric, 64, 64), Error);
  for (const auto& [rows, columns] : {std::pair{33, 64}, {64, 48}, {64, 40}})
    EXPECT_THROW(first->check(symmetric, rows, columns), Error);
  EXPECT_THROW(first->check(integers(5, 32, true), 64, 64), Error);
  EXPECT_THROW(first->check(scheme::preset("W8A8"), 64, 64), Error);
}

TEST_F(Gptq, MixedModelsUseDynamic) {
  const ModelQuantization model{
      .groups = {{.name = "group_0", .targets = {"Linear"}, .scheme = integers(4, 32, true)},
                 {.name = "group_1", .targets = {kTestModule}, .scheme = integers(8, -1, true)}},
      .ignore = {"lm_head", "re:.*vision_tower.*"},
      .kv_cache_scheme = {}};
  const Json config = {{"quantization_config", writer_->quantization_config(model)}};
  EXPECT_EQ(config["quantization_config"]["lm_head"], false);
  const auto reader = reader_of(encode(integers(8, -1, true)), config);
  EXPECT_EQ(reader->scheme_of(kTestModule), integers(8, -1, true));
  EXPECT_EQ(reader->scheme_of("model.layers.1.mlp.down_proj"), integers(4, 32, true));
  EXPECT_EQ(reader->read(kTestModule).bits, 8);
}

TEST_F(Gptq, FilesThatLieAreRefused) {
  const scheme::Scheme scheme = integers(4, 32, false);
  const Tensors good = encode(scheme);
  const Json config = config_of(*writer_, scheme);
  const auto changed = [&](std::string_view key, Json value) {
    Json copy = config;
    copy["quantization_config"][key] = std::move(value);
    return copy;
  };
  ASSERT_EQ(problem(good, config), "");
  EXPECT_THAT(problem(without(good, ".scales"), config), HasSubstr("missing"));
  EXPECT_THAT(problem(without(good, ".qzeros"), config), HasSubstr("missing"));
  EXPECT_EQ(problem(without(good, ".g_idx"), config), "");
  EXPECT_THAT(problem(good, changed("bits", 8)), HasSubstr("8 bits"));
  EXPECT_THAT(problem(good, changed("bits", 5)), HasSubstr("2, 3, 4 or 8"));
  EXPECT_THAT(problem(good, changed("bits", nullptr)), HasSubstr("how many bits"));
  EXPECT_THAT(problem(good, changed("group_size", 0)), HasSubstr("group_size"));
  EXPECT_THAT(problem(good, changed("group_size", 64)), HasSubstr("groups"));
  EXPECT_THAT(problem(good, changed("checkpoint_format", "marlin")), HasSubstr("marlin"));
  EXPECT_THAT(problem(good, changed("pack_dtype", "int16")), HasSubstr("another size"));
  EXPECT_THAT(problem(good, changed("dynamic", "x")), HasSubstr("dynamic"));
  EXPECT_THAT(problem(with(good, ".qzeros", Tensor::zeros(DType::kI32, {4, 7})), config),
              HasSubstr("zero points"));
  EXPECT_THAT(problem(with(good, ".qweight", Tensor::zeros(DType::kI32, {15, 64})), config),
              HasSubstr("128 inputs"));
  EXPECT_THAT(problem(with(good, ".qweight", Tensor::zeros(DType::kI32, {16})), config), HasSubstr("matrix"));
  EXPECT_THAT(problem(with(good, ".scales", Tensor::zeros(DType::kF16, {4, 63})), config),
              HasSubstr("scales"));
  EXPECT_THAT(problem(with(good, ".scales", Tensor::zeros(DType::kI16, {4, 64})), config),
              HasSubstr("floating-point"));
  Tensor index = Tensor::zeros(DType::kI32, {128});
  index.mutable_data<std::int32_t>()[5] = 4;
  EXPECT_THAT(problem(with(good, ".g_idx", index), config), HasSubstr("outside"));
  EXPECT_THAT(problem(with(good, ".g_idx", Tensor::zeros(DType::kI64, {128})), config), HasSubstr("I32"));
}

}  // namespace
}  // namespace farthing::formats
