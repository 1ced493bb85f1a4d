#include "plan/recipe.h"

#include <gmock/gmock.h>
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

TEST(Recipe, PairsInputsWhereTheShortFormOrAFlagSaysSo) {
  const auto alpha = [](const std::string& keys) {
    return parse_recipe("{scheme: W4A16" + keys + "}", "test").modifiers[0].gptq.gptaq_alpha;
  };
  EXPECT_EQ(alpha(""), 0);
  EXPECT_EQ(alpha(", gptaq: true"), 0.25);
  EXPECT_EQ(alpha(", gptaq_alpha: 0.5"), 0.5);
  EXPECT_EQ(alpha(", gptaq: true, gptaq_alpha: 1"), 1);
  EXPECT_NE(message_of("{scheme: W4A16, gptaq_alpha: -1}").find("gptaq_alpha"), std::string::npos);
  EXPECT_EQ(recipe_from_flags({.gptaq = true}, true).modifiers[0].gptq.gptaq_alpha, 0.25);
  const Recipe named = recipe_from_flags({.method = "awq+gptaq"}, true);
  EXPECT_EQ(named.transforms[0].kind, TransformKind::kAwq);
  EXPECT_EQ(named.modifiers[0].method, Method::kGptq);
  EXPECT_EQ(named.modifiers[0].gptq.gptaq_alpha, 0.25);
  EXPECT_EQ(alpha(", method: gptaq"), 0.25);
  EXPECT_THROW(recipe_from_flags({.method = "rtn", .gptaq = true}, true), Error);
  EXPECT_NE(message_of("{scheme: W4A16, method: rtn, gptaq: true}").find("GPTAQ"), std::string::npos);
  Recipe recipe = parse_recipe("{scheme: W4A16}", "test");
  apply_flags(recipe, {.gptaq_alpha = 0.75});
  EXPECT_EQ(recipe.modifiers[0].gptq.gptaq_alpha, 0.75);
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
  EXPECT_EQ(settings("gptaq: true").gptaq_alpha, 0.25);
  EXPECT_EQ(settings("gptaq: null").gptaq_alpha, 0);
  EXPECT_EQ(settings("gptaq: {alpha: 0.5}").gptaq_alpha, 0.5);
  EXPECT_NE(message_of("{bits: 4, gptaq: {alpha: 2}}").find("gptaq.alpha"), std::string::npos);
}

TEST(Recipe, RangeSearchOfGptqConfigs) {
  const auto weights = [](const std::string& keys) {
    return *parse_recipe("{bits: 4, " + keys + "}", "test").modifiers[0].groups[0].scheme.weights;
  };
  EXPECT_EQ(weights("mse: 2.4").observer, "mse");
  EXPECT_EQ(weights("mse: 2.4").observer_kwargs["norm"], 2.4);
  EXPECT_NE(weights("mse: 0.0").observer, "mse");
}

TEST(Recipe, ReadsTransformsBeforeTheModifiers) {
  const Recipe recipe = parse_recipe(R"(
default_stage:
  default_modifiers:
    SmoothQuantModifier:
      smoothing_strength: 0.8
      mappings:
      - !!python/tuple
        - ['re:.*q_proj', 're:.*k_proj', 're:.*v_proj']
        - re:.*input_layernorm
      - {smooth_layer: "re:.*post_attention_layernorm", balance_layers: ["re:.*gate_proj", "re:.*up_proj"]}
      ignore: ["re:.*layers.0.*"]
      num_calibration_steps: 4
      algorithm: smoothquant
    GPTQModifier: {scheme: W8A8, targets: [Linear], ignore: [lm_head]}
)",
                                     "test.yaml");
  ASSERT_EQ(recipe.modifiers.size(), 1u);
  ASSERT_EQ(recipe.transforms.size(), 1u);
  const Transform& transform = recipe.transforms[0];
  EXPECT_EQ(transform.kind, TransformKind::kSmoothQuant);
  EXPECT_EQ(transform.smoothquant.strength, 0.8);
  EXPECT_EQ(transform.num_samples, 4);
  EXPECT_EQ(transform.ignore.size(), 1u);
  ASSERT_EQ(transform.mappings.size(), 2u);
  EXPECT_EQ(transform.mappings[0].smooth, "re:.*input_layernorm");
  EXPECT_EQ(transform.mappings[0].balance.size(), 3u);
  EXPECT_EQ(transform.mappings[1].smooth, "re:.*post_attention_layernorm");

  EXPECT_THAT(message_of("SmoothQuantModifier: {smoothing_strength: 0.8}"),
              testing::HasSubstr("no modifier that makes"));
  EXPECT_THAT(message_of("SmoothQuantModifier: {smoothing_strength: 1.8}"), testing::HasSubstr("0 to 1"));
  EXPECT_THAT(message_of("SmoothQuantModifier: {mappings: [[a, b, c]]}"), testing::HasSubstr("mapping"));
  EXPECT_THAT(message_of("SmoothQuantModifier: {algorithm: magic}"), testing::HasSubstr("log_equalization"));
  EXPECT_THAT(message_of("SmoothQuantModifier: {strength: 0.8}"), testing::HasSubstr("smoothing_strength"));
}

TEST(Recipe, ReadsAwqModifiersOldAndNew) {
  const Recipe recipe = parse_recipe(R"(
awq_stage:
  awq_modifiers:
    AWQModifier: {duo_scaling: both, n_grid: 10, max_chunk_memory: 1024}
    QuantizationModifier: {scheme: W4A16_ASYM, targets: ["Linear"], ignore: ["lm_head"]}
)",
                                     "test.yaml");
  ASSERT_EQ(recipe.transforms.size(), 1u);
  EXPECT_EQ(recipe.transforms[0].kind, TransformKind::kAwq);
  EXPECT_EQ(recipe.transforms[0].awq.duo, methods::DuoScaling::kBoth);
  EXPECT_EQ(recipe.transforms[0].awq.num_candidates, 10);
  EXPECT_FALSE(recipe.transforms[0].awq.clip);
  ASSERT_EQ(recipe.modifiers.size(), 1u);
  EXPECT_EQ(recipe.modifiers[0].method, Method::kRtn);

  const Recipe old = parse_recipe(
      "AWQModifier: {scheme: W4A16_ASYM, targets: [Linear], ignore: [lm_head], duo_scaling: false}",
      "test.yaml");
  ASSERT_EQ(old.transforms.size(), 1u);
  EXPECT_EQ(old.transforms[0].awq.duo, methods::DuoScaling::kOff);
  ASSERT_EQ(old.modifiers.size(), 1u);
  EXPECT_EQ(old.modifiers[0].name, "QuantizationModifier");
  EXPECT_EQ(old.modifiers[0].ignore, std::vector<std::string>{"lm_head"});
  EXPECT_FALSE(old.modifiers[0].groups[0].scheme.weights->symmetric);

  EXPECT_THAT(message_of("AWQModifier: {scheme: W4A16, duo_scaling: perhaps}"), testing::HasSubstr("both"));
  EXPECT_THAT(message_of("AWQModifier: {scheme: W4A16, n_grid: 1}"), testing::HasSubstr("n_grid"));
}

TEST(Recipe, ReadsTheConfigOfAutoAwq) {
  const Recipe recipe = parse_recipe(
      R"({"zero_point": true, "q_group_size": 64, "w_bit": 4, "version": "GEMM",
          "modules_to_not_convert": ["visual", "mlp.gate"]})",
      "quant_config.json");
  ASSERT_EQ(recipe.transforms.size(), 1u);
  EXPECT_TRUE(recipe.transforms[0].awq.clip);
  EXPECT_TRUE(recipe.transforms[0].awq.autoawq_grid);
  EXPECT_EQ(recipe.format, "awq");
  const Modifier& modifier = recipe.modifiers[0];
  EXPECT_EQ(modifier.method, Method::kRtn);
  EXPECT_EQ(modifier.groups[0].scheme.weights->group_size, 64);
  EXPECT_FALSE(modifier.groups[0].scheme.weights->symmetric);
  EXPECT_EQ(modifier.ignore, (std::vector<std::string>{"re:.*visual.*", "re:.*mlp\\.gate.*"}));
  EXPECT_TRUE(parse_recipe(R"({"zero_point": false, "q_group_size": 128, "w_bit": 4})", "q")
                  .modifiers[0]
                  .groups[0]
                  .scheme.weights->symmetric);
  EXPECT_THAT(message_of(R"({"q_group_size": 128, "w_bit": 4, "version": "GEMV"})"),
              testing::HasSubstr("GEMM"));
  EXPECT_THAT(message_of(R"({"q_group_size": 128, "w_bit": 3})"), testing::HasSubstr("4 bits"));
}

TEST(Recipe, FlagsNameTransformsByTheMethod) {
  const Recipe smooth = recipe_from_flags({.scheme = "W8A8", .method = "smoothquant+gptq"}, true);
  ASSERT_EQ(smooth.transforms.size(), 1u);
  EXPECT_EQ(smooth.transforms[0].smoothquant.strength, 0.8);
  EXPECT_EQ(smooth.modifiers[0].method, Method::kGptq);
  const Recipe awq = recipe_from_flags({.method = "awq"}, true);
  EXPECT_EQ(awq.transforms[0].kind, TransformKind::kAwq);
  EXPECT_EQ(awq.modifiers[0].method, Method::kRtn);
  EXPECT_EQ(recipe_from_flags({.method = "smoothquant", .smoothing_strength = 0.3}, true)
                .transforms[0]
                .smoothquant.strength,
            0.3);
  for (const char* method : {"gptq+awq", "awq+auto", "awq+", "", "awq+gptq+rtn"})
    EXPECT_THROW(recipe_from_flags({.method = method}, true), Error) << method;
}

}  // namespace
}  // namespace farthing::plan
