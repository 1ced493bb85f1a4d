#include "scheme/scheme.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace farthing::scheme {
namespace {

TEST(Scheme, PresetsAreThoseOfCompressedTensors) {
  const Scheme w4a16 = preset("w4a16");
  EXPECT_EQ(to_json(*w4a16.weights).dump(),
            to_json(parse_quantization_args(Json{{"num_bits", 4}, {"group_size", 128}}, "")).dump());
  EXPECT_FALSE(w4a16.input_activations);
  EXPECT_FALSE(preset("W4A16_ASYM").weights->symmetric);
  EXPECT_EQ(preset("W8A16").weights->group_size, 128);
  EXPECT_EQ(preset("W8A8"), preset("Int8"));
  EXPECT_EQ(preset("W8A8").input_activations->strategy, Strategy::kToken);
  EXPECT_EQ(preset("W4A4").input_activations->num_bits, 4);
  EXPECT_EQ(preset("W4AFP8").input_activations->type, NumberType::kFloat);
  EXPECT_EQ(preset("FP8").input_activations->dynamic, Dynamic::kStatic);
  EXPECT_EQ(preset("NVFP4").input_activations->dynamic, Dynamic::kLocal);
  EXPECT_EQ(preset("NVFP4A16").weights->scale_dtype, DType::kF8E4M3);
  EXPECT_EQ(preset("MXFP8A16").weights->group_size, 32);
  EXPECT_FALSE(preset("UNQUANTIZED").weights);
}

TEST(Scheme, EveryPresetIsConsistentAndSurvivesJson) {
  for (const std::string_view name : preset_names()) {
    const ConfigGroup group{.name = "group_0", .targets = {"Linear"}, .scheme = preset(name)};
    const std::vector<ConfigGroup> read =
        parse_config_groups(Json{{"group_0", to_json(group)}}, "config_groups");
    ASSERT_EQ(read.size(), 1u);
    EXPECT_EQ(read[0], group) << name;
    EXPECT_EQ(describe(group.scheme), name == "INT8" ? "W8A8" : name);
  }
}

TEST(Scheme, UnknownNameSuggestsTheNearest) {
  try {
    preset("W4A61");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    EXPECT_THAT(error.hint(),
                testing::AllOf(testing::HasSubstr("did you mean W4A16?"), testing::HasSubstr("FP8_DYNAMIC")));
  }
}

TEST(Scheme, DescribesWhatDiffersFromThePreset) {
  Scheme scheme = preset("W4A16");
  scheme.weights->group_size = 64;
  EXPECT_EQ(describe(scheme), "W4A16 group 64");
  scheme.weights->symmetric = false;
  EXPECT_EQ(describe(scheme), "W4A16_ASYM group 64");
  scheme = preset("W4A16");
  scheme.weights->strategy = Strategy::kChannel;
  scheme.weights->group_size.reset();
  EXPECT_EQ(describe(scheme), "W4A16 channel");
  scheme = preset("W8A8");
  scheme.input_activations->dynamic = Dynamic::kStatic;
  scheme.input_activations->strategy = Strategy::kTensor;
  EXPECT_EQ(describe(scheme), "W8A8 static activations");
}

TEST(Scheme, ConfigGroupsComeInBothForms) {
  const Json json = parse_json(R"({
    "FP8_DYNAMIC": ["re:.*self_attn.*"],
    "group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "strategy": "channel"}, "input_activations": null, "format": "pack-quantized"}
  })",
                               "test");
  const std::vector<ConfigGroup> groups = parse_config_groups(json, "config_groups");
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[0].scheme, preset("FP8_DYNAMIC"));
  EXPECT_EQ(groups[0].targets, std::vector<std::string>{"re:.*self_attn.*"});
  EXPECT_EQ(groups[1].scheme.format, "pack-quantized");
}

TEST(Scheme, WrongConfigGroupsAreNamed) {
  const auto problem = [](std::string_view text) -> std::string {
    try {
      parse_config_groups(parse_json(text, "test"), "config_groups");
      return "";
    } catch (const Error& error) {
      return error.what();
    }
  };
  using testing::HasSubstr;
  EXPECT_THAT(problem(R"({"g": {"targets": ["Linear"], "wieghts": {}}})"), HasSubstr("wieghts"));
  EXPECT_THAT(problem(R"({"g": {"weights": {}}})"), HasSubstr("config_groups.g.targets"));
  EXPECT_THAT(problem(R"({"g": {"targets": ["Linear"], "weights": {"bits": 4}}})"),
              HasSubstr("config_groups.g.weights.bits"));
  EXPECT_THAT(problem(R"({"g": {"targets": ["Linear"], "format": "mixed-precision"}})"), HasSubstr("format"));
  EXPECT_THAT(problem(R"({"g": {"targets": ["Linear"], "weights": {"strategy": "token", "dynamic": true}}})"),
              HasSubstr("dynamically"));
  EXPECT_THAT(
      problem(
          R"({"g": {"targets": ["Linear"], "input_activations": {"group_size": 128, "actorder": "weight"}}})"),
      HasSubstr("actorder"));
  EXPECT_THAT(problem(R"({"W5A5": ["Linear"]})"), HasSubstr("unknown scheme"));
  EXPECT_THAT(problem(R"([1])"), HasSubstr("not an object"));
}

}  // namespace
}  // namespace farthing::scheme
