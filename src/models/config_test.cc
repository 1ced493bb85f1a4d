#include "models/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "models/rope_config.h"

namespace farthing::models {
namespace {

using testing::HasSubstr;

Config config(const char* text) {
  return Config(parse_json(text, "test"), "folder/config.json");
}

// The error's text, which names file, key and value.
template <typename Body>
std::string error_of(Body body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Config, MissingAndNullMeanTheDefault) {
  const Config c = config(R"({"a": null, "b": 3, "c": 2.0, "d": "x", "e": true})");
  EXPECT_EQ(c.integer("a", 7), 7);
  EXPECT_EQ(c.integer("z", 7), 7);
  EXPECT_EQ(c.integer("b"), 3);
  EXPECT_EQ(c.integer("c"), 2);
  EXPECT_EQ(c.text("d", ""), "x");
  EXPECT_TRUE(c.flag("e", false));
  EXPECT_FALSE(c.has("a"));
  EXPECT_TRUE(c.mentions("a"));
  EXPECT_EQ(c.number_or_none("a", 5.0), 0.0);
  EXPECT_EQ(c.number_or_none("z", 5.0), 5.0);
  EXPECT_EQ(c.spelling({"z", "b"}), "b");
  EXPECT_EQ(c.spelling({"z", "y"}), "z");
}

TEST(Config, WrongTypesNameFileAndKey) {
  const Config c =
      config(R"({"heads": "four", "part": 1.5, "big": 1e300, "huge": 18446744073709551615, "zero": 0,
                              "list": [1], "negative": -2, "flag": 1})");
  const std::string error = error_of([&] { c.integer("heads"); });
  EXPECT_THAT(error, HasSubstr("folder/config.json"));
  EXPECT_THAT(error, HasSubstr("heads"));
  EXPECT_THAT(error, HasSubstr("four"));
  for (const char* key : {"part", "big", "huge", "zero", "list", "negative", "missing"})
    EXPECT_THROW(c.size(key), Error) << key;
  EXPECT_THROW(c.flag("flag", false), Error);
  EXPECT_THROW(c.number("list"), Error);
  EXPECT_THROW(c.child("list"), Error);
  EXPECT_THROW(config("[1]"), Error);
  EXPECT_THAT(error_of([&] { config(R"({"t": {"x": "y"}})").child("t").integer("x"); }),
              HasSubstr("config.json: t"));
}

TEST(RopeConfig, OldAndNewSpellingsMeanTheSame) {
  const nn::RopeSpec old_spelling =
      rope_config(config(R"({"rope_theta": 5000, "max_position_embeddings": 64, "partial_rotary_factor": 0.5,
                 "rope_scaling": {"type": "yarn", "factor": 4, "original_max_position_embeddings": 16}})"),
                  16);
  const nn::RopeSpec new_spelling = rope_config(config(R"({"max_position_embeddings": 64,
                 "rope_parameters": {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 16,
                                     "rope_theta": 5000, "partial_rotary_factor": 0.5}})"),
                                                16);
  EXPECT_EQ(old_spelling, new_spelling);
  EXPECT_EQ(old_spelling.rotary_dim, 8);
  EXPECT_EQ(old_spelling.scaling, nn::RopeSpec::Scaling::kYarn);
}

TEST(RopeConfig, BlocksPerLayerType) {
  const Config c =
      config(R"({"rope_parameters": {"sliding_attention": {"rope_theta": 10000, "rope_type": "default"},
                              "full_attention": {"rope_theta": 1e6, "rope_type": "linear", "factor": 8}},
                              "max_position_embeddings": 64})");
  EXPECT_EQ(rope_config(c, 16).theta, 1e6);
  EXPECT_EQ(rope_config(c, 16).factor, 8.0);
  EXPECT_EQ(rope_config(c, 16, {}, "sliding_attention").theta, 1e4);
  EXPECT_THROW(rope_config(c, 16, {}, "chunked_attention"), Error);
}

TEST(RopeConfig, NonsenseIsRefused) {
  for (
      const char* text : {
          R"({"rope_theta": 0})",
          R"({"rope_theta": "big"})",
          R"({"rope_scaling": {"type": "spiral"}})",
          R"({"rope_scaling": {"type": "linear"}})",
          R"({"rope_scaling": {"type": "linear", "factor": -1}})",
          R"({"rope_scaling": {"type": "dynamic", "factor": 0.5}, "max_position_embeddings": 8})",
          R"({"rope_scaling": {"type": "longrope", "short_factor": [1], "long_factor": [1]},
               "max_position_embeddings": 8})",
          R"({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4},
               "max_position_embeddings": 8})",
          R"({"rope_scaling": {"type": "mrope", "mrope_section": [1, 1, 1]}})",
          R"({"partial_rotary_factor": 0.01})",
          R"({"partial_rotary_factor": 1.5})",
      })
    EXPECT_THROW(rope_config(config(text), 16), Error) << text;
}

}  // namespace
}  // namespace farthing::models
