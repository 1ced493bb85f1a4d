#include "scheme/quantization_args.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace farthing::scheme {
namespace {

QuantizationArgs parse(std::string_view text) {
  return parse_quantization_args(parse_json(text, "test"), "group_0.weights");
}

// What the error says, or "" when there is none.
std::string problem(std::string_view text) {
  try {
    parse(text);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    return std::string(error.what()) + " " + error.hint();
  }
}

TEST(QuantizationArgs, MissingKeysTakeTheirDefaults) {
  EXPECT_EQ(parse("{}"), QuantizationArgs{});
  EXPECT_EQ(parse(R"({"num_bits": 4, "group_size": 128})").strategy, Strategy::kGroup);
  const QuantizationArgs channel = parse(R"({"num_bits": 4, "group_size": -1})");
  EXPECT_EQ(channel.strategy, Strategy::kChannel);
  EXPECT_EQ(channel.group_size, std::nullopt);
  EXPECT_EQ(parse(R"({"strategy": "channel", "group_size": -1})").strategy, Strategy::kChannel);
}

TEST(QuantizationArgs, SpellingsOfTheActivationOrder) {
  const auto order = [](std::string_view value) {
    return parse(fmt::format(R"({{"group_size": 128, "actorder": {}}})", value)).actorder;
  };
  EXPECT_EQ(order("null"), ActivationOrder::kNone);
  EXPECT_EQ(order("false"), ActivationOrder::kNone);
  EXPECT_EQ(order("true"), ActivationOrder::kGroup);
  EXPECT_EQ(order("\"group\""), ActivationOrder::kGroup);
  EXPECT_EQ(order("\"dynamic\""), ActivationOrder::kGroup);
  EXPECT_EQ(order("\"weight\""), ActivationOrder::kWeight);
  EXPECT_EQ(order("\"Static\""), ActivationOrder::kWeight);
}

TEST(QuantizationArgs, OtherSpellings) {
  EXPECT_EQ(parse(R"({"type": "FLOAT", "strategy": "TENSOR"})").type, NumberType::kFloat);
  const std::array<std::int64_t, 2> block = {128, 64};
  EXPECT_EQ(parse(R"({"strategy": "block", "block_structure": "128x64"})").block_structure, block);
  EXPECT_EQ(parse(R"({"strategy": "block", "block_structure": [128, 64]})").block_structure, block);
  EXPECT_EQ(parse(R"({"num_bits": 4.0})").num_bits, 4);
  EXPECT_EQ(parse(R"({"scale_dtype": "torch.uint8"})").scale_dtype, DType::kU8);
  EXPECT_EQ(parse(R"({"symmetric": false, "zp_dtype": "torch.int8"})").symmetric, false);
  EXPECT_EQ(parse(R"({"strategy": "token", "dynamic": true, "observer": "minmax"})").observer, "");
}

TEST(QuantizationArgs, ContradictionsAreNamed) {
  using testing::HasSubstr;
  EXPECT_THAT(problem(R"({"num_bit": 4})"),
              testing::AllOf(HasSubstr("group_0.weights.num_bit"), HasSubstr("did you mean num_bits?")));
  EXPECT_THAT(problem(R"({"group_size": 0})"), HasSubstr("group_size is not possible"));
  EXPECT_THAT(problem(R"({"group_size": -2})"), HasSubstr("group_size is not possible"));
  EXPECT_THAT(problem(R"({"strategy": "group"})"), HasSubstr("needs a positive group_size"));
  EXPECT_THAT(problem(R"({"strategy": "channel", "group_size": 64})"), HasSubstr("needs the strategy group"));
  EXPECT_THAT(problem(R"({"strategy": "token"})"), HasSubstr("needs dynamic: true"));
  EXPECT_THAT(problem(R"({"strategy": "block"})"), HasSubstr("need each other"));
  EXPECT_THAT(problem(R"({"block_structure": [128, 128]})"), HasSubstr("need each other"));
  EXPECT_THAT(problem(R"({"strategy": "block", "block_structure": [128, 0]})"),
              HasSubstr("two positive numbers"));
  EXPECT_THAT(problem(R"({"strategy": "block", "block_structure": "128x"})"),
              HasSubstr("two positive numbers"));
  EXPECT_THAT(problem(R"({"strategy": "channel", "dynamic": true})"),
              HasSubstr("dynamic quantization needs"));
  EXPECT_THAT(problem(R"({"dynamic": "local"})"), HasSubstr("tensor_group"));
  EXPECT_THAT(problem(R"({"strategy": "channel", "actorder": "group"})"), HasSubstr("actorder group"));
  EXPECT_THAT(problem(R"({"num_bits": 9})"), HasSubstr("1 to 8 bits"));
  EXPECT_THAT(problem(R"({"num_bits": 99999999999999})"), HasSubstr("1 to 8 bits"));
  EXPECT_THAT(problem(R"({"num_bits": 6, "type": "float"})"), HasSubstr("4 or 8 bits"));
  EXPECT_THAT(problem(R"({"type": "float", "symmetric": false})"), HasSubstr("no zero point"));
  EXPECT_THAT(problem(R"({"num_bits": "four"})"), HasSubstr("not a whole number"));
  EXPECT_THAT(problem(R"({"symmetric": 1})"), HasSubstr("not true or false"));
  EXPECT_THAT(problem(R"({"strategy": "row"})"), HasSubstr("unknown strategy"));
  EXPECT_THAT(problem(R"([])"), HasSubstr("not an object"));
}

TEST(QuantizationArgs, WrittenAsEveryReleaseAccepts) {
  EXPECT_EQ(
      to_json(parse(R"({"num_bits": 4, "group_size": 128, "actorder": "static"})")).dump(),
      R"({"actorder":"weight","block_structure":null,"dynamic":false,"group_size":128,"num_bits":4,"observer":"minmax",)"
      R"("observer_kwargs":{},"strategy":"group","symmetric":true,"type":"int"})");
}

TEST(QuantizationArgs, CellsOfEveryStrategy) {
  const auto cells = [](std::string_view text) {
    const CellGrid grid = cell_grid(parse(text), 10, 100);
    return std::pair(grid.scale_rows(), grid.scale_columns());
  };
  EXPECT_EQ(cells("{}"), std::pair(std::int64_t{1}, std::int64_t{1}));
  EXPECT_EQ(cells(R"({"strategy": "channel"})"), std::pair(std::int64_t{10}, std::int64_t{1}));
  EXPECT_EQ(cells(R"({"group_size": 32})"), std::pair(std::int64_t{10}, std::int64_t{4}));
  EXPECT_EQ(cells(R"({"strategy": "block", "block_structure": [4, 64]})"),
            std::pair(std::int64_t{3}, std::int64_t{2}));
  EXPECT_THROW(cells(R"({"strategy": "token", "dynamic": true})"), Error);
}

}  // namespace
}  // namespace farthing::scheme
