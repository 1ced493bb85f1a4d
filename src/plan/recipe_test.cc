#include "plan/recipe.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace farthing::plan {
namespace {

using scheme::ActivationOrder;
using scheme::Strategy;

std::string message_of(const std::string& yaml) {
  try {
    parse_recipe(yaml, "test.yaml");
  } catch (const Error& error) {
    return std::string(error.what()) + " | " + error.hint();
  }
  return "no error";
}

TEST(Recipe, ReadsTheStagesOfLlmCompressor) {
  const Recipe recipe = parse_recipe(R"(
quant_stage:
  quant_modifiers:
    GPTQModifier:
      targets: Linear
      scheme: W4A16
      sequential_targets: [MistralDecoderLayer]
      ignore: ["re:.*lm_head", "re:.*vision_tower.*", "re:.*multi_modal_projector.*"]
      dampening_frac: 0.05
      actorder: group
)",
                                     "test.yaml");
  ASSERT_EQ(recipe.modifiers.size(), 1u);
  const Modifier& modifier = recipe.modifiers[0];
  EXPECT_EQ(modifier.method, Method::kGptq);
  EXPECT_EQ(modifier.groups[0].targets, std::vector<std::string>{"Linear"});
  EXPECT_EQ(modifier.groups[0].scheme.weights->num_bits, 4);
  EXPECT_EQ(modifier.sequential_targets, std::vector<std::string>{"MistralDecoderLayer"});
  EXPECT_EQ(modifier.ignore.size(), 3u);
  EXPECT_EQ(modifier.gptq.dampening_frac, 0.05);
  EXPECT_EQ(modifier.gptq.actorder, ActivationOrder::kGroup);
}

TEST(Recipe, ReadsConfigGroupsAndSchemeMaps) {
  const Recipe recipe = parse_recipe(R"(
QuantizationModifier:
  ignore: [lm_head]
  config_groups:
    group_0:
      targets: ["re:.*down_proj$"]
      weights: {num_bits: 8, type: int, symmetric: true, strategy: channel}
    group_1:
      targets: ["re:.*(q|k|v|o|gate|up)_proj$"]
      weights: {num_bits: 4, type: int, symmetric: true, strategy: group, group_size: 128, actorder: weight}
)",
                                     "test.yaml");
  ASSERT_EQ(recipe.modifiers[0].groups.size(), 2u);
  EXPECT_EQ(recipe.modifiers[0].groups[0].scheme.weights->strategy, Strategy::kChannel);
  EXPECT_EQ(recipe.modifiers[0].groups[1].scheme.weights->group_size, 128);
  const Recipe map =
      parse_recipe("GPTQModifier: {scheme: {W4A16: ['re:.*q_proj'], W8A16: [Linear]}}", "test.yaml");
  EXPECT_EQ(map.modifiers[0].groups.size(), 2u);
  EXPECT_EQ(map.modifiers[0].groups[1].scheme.weights->num_bits, 8);
}

TEST(Recipe, ReadsTheShortForm) {
  const Recipe recipe = parse_recipe(R"(
schema: 1
scheme: W4A16
method: gptq
ignore: [lm_head]
overrides:
  - match: "re:.*down_proj"
    group_size: 64
calibration: {source: builtin, samples: 128, length: 2048, seed: 0}
)",
                                     "test.yaml");
  EXPECT_EQ(recipe.modifiers[0].groups.size(), 2u);
  EXPECT_EQ(recipe.modifiers[0].groups[1].scheme.weights->group_size, 64);
  EXPECT_EQ(recipe.calibration.samples, 128);
  EXPECT_EQ(recipe.calibration.source, "builtin");
}

TEST(Recipe, SaysWhatIsWrongAndWhatIsKnown) {
  EXPECT_THAT(message_of("GPTQModifer: {scheme: W4A16}"), testing::HasSubstr("unknown key"));
  EXPECT_THAT(message_of("GPTQModifier: {scheme: W4A16, dampening: 0.1}"),
              testing::AllOf(testing::HasSubstr("dampening"), testing::HasSubstr("dampening_frac")));
  EXPECT_THAT(message_of("GPTQModifier: {scheme: W4A17}"), testing::HasSubstr("W4A16"));
  EXPECT_THAT(message_of("GPTQModifier: {targets: Linear}"), testing::HasSubstr("no scheme"));
  EXPECT_THAT(message_of("GPTQModifier: {scheme: W4A16, actorder: sideways}"),
              testing::HasSubstr("activation order"));
  EXPECT_THAT(message_of("a: [1, 2"), testing::HasSubstr("not valid YAML"));
  EXPECT_THAT(message_of("{}"), testing::HasSubstr("no modifier"));
  EXPECT_THAT(message_of("FancyModifier: {scheme: W4A16}"), testing::HasSubstr("GPTQModifier"));
}

TEST(Recipe, FlagsChooseTheMethodAndChangeTheScheme) {
  EXPECT_EQ(recipe_from_flags({}, true).modifiers[0].method, Method::kGptq);
  EXPECT_EQ(recipe_from_flags({}, false).modifiers[0].method, Method::kRtn);
  EXPECT_EQ(recipe_from_flags({.scheme = "W8A16"}, true).modifiers[0].method, Method::kRtn);
  const Recipe recipe = recipe_from_flags({.bits = 3, .group_size = -1, .symmetric = false}, true);
  const auto& weights = *recipe.modifiers[0].groups[0].scheme.weights;
  EXPECT_EQ(weights.num_bits, 3);
  EXPECT_EQ(weights.strategy, Strategy::kChannel);
  EXPECT_FALSE(weights.symmetric);
  EXPECT_THROW(recipe_from_flags({.method = "magic"}, true), Error);
}

}  // namespace
}  // namespace farthing::plan
