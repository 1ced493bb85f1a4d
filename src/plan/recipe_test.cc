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

TEST(Recipe, RefinesWhereTheShortFormSaysSo) {
  EXPECT_EQ(parse_recipe("{scheme: W4A16, refine_passes: 3}", "test").modifiers[0].gptq.refine_passes, 3);
  EXPECT_EQ(parse_recipe("{scheme: W4A16}", "test").modifiers[0].gptq.refine_passes, 0);
  EXPECT_NE(message_of("{scheme: W4A16, refine_passes: 101}").find("refine_passes"), std::string::npos);
}

TEST(Recipe, ReadsGptqConfigs) {
  const Recipe recipe = parse_recipe(R"({
    "bits": 3, "group_size": 64, "damp_percent": 0.05, "desc_act": true, "static_groups": false, "sym": false,
    "true_sequential": true, "dataset": ["one text", "another"], "model_seqlen": 256,
    "dynamic": {"-:.*v_proj": {}, ".*down_proj": {"bits": 8, "group_size": -1}}
  })",
                                     "quantize_config.json");
  ASSERT_EQ(recipe.modifiers.size(), 1u);
  const Modifier& modifier = recipe.modifiers[0];
  EXPECT_EQ(recipe.format, "gptq");
  EXPECT_EQ(recipe.calibration.source, "text:one text\n\nanother");
  EXPECT_EQ(recipe.calibration.length, 256);
  EXPECT_EQ(modifier.method, Method::kGptq);
  EXPECT_EQ(modifier.sequential_targets, std::vector<std::string>{"Linear"});
  EXPECT_EQ(modifier.ignore, std::vector<std::string>{"re:.*v_proj"});
  EXPECT_TRUE(modifier.family_ignore);
  EXPECT_EQ(modifier.gptq.actorder, ActivationOrder::kGroup);
  EXPECT_EQ(modifier.gptq.dampening_frac, 0.05);
  EXPECT_TRUE(modifier.gptq.refresh_scales);
  ASSERT_EQ(modifier.groups.size(), 2u);
  EXPECT_EQ(modifier.groups[0].scheme.weights->num_bits, 3);
  EXPECT_EQ(modifier.groups[0].scheme.weights->group_size, 64);
  EXPECT_FALSE(modifier.groups[0].scheme.weights->symmetric);
  EXPECT_EQ(modifier.groups[1].targets, std::vector<std::string>{"re:.*down_proj"});
  EXPECT_EQ(modifier.groups[1].scheme.weights->strategy, Strategy::kChannel);
}

TEST(Recipe, OrdersOfGptqConfigs) {
  const auto settings = [](const std::string& keys) {
    return parse_recipe("{bits: 4, " + keys + "}", "test").modifiers[0].gptq;
  };
  EXPECT_EQ(settings("desc_act: false").actorder, ActivationOrder::kNone);
  EXPECT_EQ(settings("desc_act: true, static_groups: true").actorder, ActivationOrder::kWeight);
  EXPECT_FALSE(settings("desc_act: true, static_groups: true").refresh_scales);
  EXPECT_TRUE(settings("act_group_aware: true").group_aware_order);
  EXPECT_FALSE(settings("act_group_aware: true").refresh_scales);
  EXPECT_NE(message_of("{bits: 5}").find("bits"), std::string::npos);
  EXPECT_NE(message_of("{bits: 4, damp_percent: 1.5}").find("damp_percent"), std::string::npos);
}

}  // namespace
}  // namespace farthing::plan
