#include "plan/mixture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace farthing::plan {
namespace {

// Units of 100 weights at 4, 8 and 16 bits, that cost 1, 2, 3 ... at 4 bits and a hundredth at 8.
Mixture units(std::size_t count) {
  Mixture mixture{.units = {}, .other_bytes = 1000};
  for (std::size_t i = 0; i < count; ++i) {
    const auto cost = static_cast<double>(i + 1);
    mixture.units.push_back(
        {.name = std::to_string(i),
         .modules = {"block." + std::to_string(i)},
         .parameters = 100,
         .choices = {{"W4A16", 400, cost}, {"W8A16", 800, cost / 100}, {"bf16", 1600, 0}}});
  }
  return mixture;
}

std::vector<std::size_t> chosen_of(const Mixture& mixture) {
  std::vector<std::size_t> result;
  for (const MixtureUnit& unit : mixture.units) result.push_back(unit.chosen);
  return result;
}

std::string refusal(const MixtureTarget& target) {
  Mixture mixture = units(4);
  try {
    choose(mixture, target);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    return error.what();
  }
}

std::vector<std::string> names(const scheme::Scheme& base, const std::string& format) {
  std::vector<std::string> result;
  for (const auto& scheme : schemes_beside(base, format))
    result.push_back(scheme ? scheme::describe(*scheme) : "as it is");
  return result;
}

TEST(MixtureTargets, SpendBitsWhereTheySaveMost) {
  Mixture mixture = units(4);
  choose(mixture, {.bits = 6.0});
  EXPECT_EQ(chosen_of(mixture), std::vector<std::size_t>({0, 0, 1, 1}));
  EXPECT_DOUBLE_EQ(mixture.bits_per_weight(), 6.0);
  choose(mixture, {.bits = 5.9});
  EXPECT_EQ(chosen_of(mixture), std::vector<std::size_t>({0, 0, 0, 1}));
  choose(mixture, {.bytes = 1000 + 2000 / 8});
  EXPECT_EQ(chosen_of(mixture), std::vector<std::size_t>({0, 0, 0, 1}));
  EXPECT_EQ(mixture.bytes(), 1250u);
}

TEST(MixtureTargets, FixedLinearsCount) {
  Mixture mixture = units(4);
  mixture.fixed_bits = 800;
  mixture.fixed_parameters = 100;
  choose(mixture, {.bits = 5.6});
  EXPECT_EQ(chosen_of(mixture), std::vector<std::size_t>({0, 0, 0, 1}));
  EXPECT_DOUBLE_EQ(mixture.bits_per_weight(), 5.6);
}

TEST(MixtureTargets, StopWhenTheDivergenceIsLowEnough) {
  Mixture mixture = units(4);
  choose(mixture, {.divergence = 3.5});
  EXPECT_EQ(chosen_of(mixture), std::vector<std::size_t>({0, 0, 1, 1}));
  choose(mixture, {.divergence = 3.5}, 2.0);  // together they cost twice as much
  EXPECT_LE(mixture.divergence(), 1.75);
  EXPECT_EQ(mixture.bits_per_weight(), 7.0);
}

TEST(MixtureTargets, SayWhatIsPossible) {
  EXPECT_THAT(refusal({.bits = 3.9}),
              testing::AllOf(testing::HasSubstr("4.000 bits"), testing::HasSubstr("16.000")));
  EXPECT_THAT(refusal({.bits = 16}), testing::HasSubstr("largest=16.000 bits"));
  EXPECT_THAT(refusal({.bytes = 1100}), testing::HasSubstr("smallest=1.2 KiB"));
  EXPECT_THAT(refusal({.divergence = 0.001}), testing::HasSubstr("0.01"));
}

TEST(MixtureTargets, SchemesThatConsumersTakeSideBySide) {
  using testing::ElementsAre;
  EXPECT_THAT(names(scheme::preset("W4A16"), "compressed-tensors"),
              ElementsAre("W4A16", "W8A16", "as it is"));
  EXPECT_THAT(names(scheme::preset("W8A8"), "compressed-tensors"), ElementsAre("W8A8", "as it is"));
  EXPECT_THAT(names(scheme::preset("NVFP4"), "compressed-tensors"),
              ElementsAre("NVFP4", "FP8_DYNAMIC", "as it is"));
  scheme::Scheme two = scheme::preset("W4A16");
  two.weights->num_bits = 2;
  EXPECT_EQ(schemes_beside(two, "gptq").size(), 5u);
  EXPECT_THROW(schemes_beside(two, "awq"), Error);
  EXPECT_THROW(schemes_beside(scheme::preset("NF4"), "compressed-tensors"), Error);
}

}  // namespace
}  // namespace farthing::plan
