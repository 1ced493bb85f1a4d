// What cannot be right, for every family that takes pictures: an error that names it, or the documented
// default, and never a crash.
#include <fstream>

#include "tests/program/program.h"
#include "tests/program/small_models.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/family.h"

namespace farthing::program {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::HasSubstr;

std::vector<std::string> picture_families() {
  std::vector<std::string> names;
  for (const models::Family& family : models::families())
    if (models::declare(models::Config(small_config(std::string(family.model_type)))).vision)
      names.emplace_back(family.model_type);
  return names;
}

class BadPictures : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    config_ = small_config(GetParam());
    spec_ = write_small_model(model(), config_);
    write_bmp(picture("good"), 30, 20);
  }

  std::string model() const { return folder_ / "model"; }
  std::string picture(const std::string& name) const { return folder_ / (name + ".bmp"); }

  Outcome ask(std::size_t placeholders, const std::vector<std::string>& pictures) const {
    std::string prompt;
    for (std::size_t i = 0; i < placeholders; ++i) prompt += placeholder_of(spec_);
    std::vector<std::string> arguments = {"run",          model(), prompt + "abc", "--raw",
                                          "--max-tokens", "1",     "--ids"};
    for (const std::string& name : pictures) {
      arguments.emplace_back("--image");
      arguments.push_back(picture(name));
    }
    return run(arguments);
  }

  // An answer, or an error of the user's world that says something.
  static void expect_handled(const Outcome& outcome) {
    EXPECT_THAT(outcome.exit_code, AnyOf(0, 2, 3)) << outcome.err;
    if (outcome.exit_code != 0) {
      EXPECT_THAT(outcome.err, HasSubstr("error: "));
    }
  }

  TemporaryFolder folder_;
  Json config_;
  nn::ModelSpec spec_;
};

TEST_P(BadPictures, FilesThatAreNoPictures) {
  ASSERT_EQ(ask(1, {"good"}).exit_code, 0) << ask(1, {"good"}).err;
  std::ofstream(picture("text")) << "not a picture";
  std::ofstream(picture("empty")).flush();
  std::ofstream(picture("cut")) << "BM";
  for (const char* name : {"text", "empty", "cut", "absent"}) {
    const Outcome outcome = ask(1, {name});
    EXPECT_EQ(outcome.exit_code, 3) << name << ": " << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(name));
  }
}

TEST_P(BadPictures, OddSizes) {
  for (const auto& [width, height] :
       {std::pair(1, 1), std::pair(20000, 10), std::pair(10, 20000), std::pair(2, 300)}) {
    SCOPED_TRACE(testing::Message() << width << " x " << height);
    write_bmp(picture("odd"), width, height);
    expect_handled(ask(1, {"odd"}));
  }
}

TEST_P(BadPictures, OtherNumbersOfPlaceholders) {
  for (const auto& [placeholders, pictures] :
       {std::pair(2, 1), std::pair(1, 2), std::pair(0, 1), std::pair(1, 0)}) {
    const Outcome outcome = ask(static_cast<std::size_t>(placeholders),
                                std::vector<std::string>(static_cast<std::size_t>(pictures), "good"));
    EXPECT_EQ(outcome.exit_code, 2) << placeholders << " placeholders, " << pictures
                                    << " pictures: " << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("differ in number"));
  }
}

// A processor's file of another model: other sizes, tokens and kinds.
TEST_P(BadPictures, ProcessorsThatContradictTheModel) {
  const auto check = [&](const char* file, const char* key, const Json& value) {
    SCOPED_TRACE(testing::Message() << key << ": " << value);
    const fs::path path = fs::path(model()) / file;
    const Json original = read_json(path);
    Json changed = original;
    changed[key] = value;
    std::ofstream(path) << changed.dump();
    expect_handled(ask(1, {"good"}));
    std::ofstream(path) << original.dump();
  };
  for (const char* key : {"size", "patch_size", "merge_size", "max_image_size", "image_grid_pinpoints",
                          "max_pixels", "image_mean"})
    for (const Json& value : {Json(3), Json(0), Json(-4), Json("large"), Json{{"height", 7}, {"width", 9}}})
      check("preprocessor_config.json", key, value);
  for (const Json& value :
       {Json("CLIPImageProcessor"), Json("PixtralImageProcessor"), Json("NoSuchProcessor"), Json(3)})
    check("preprocessor_config.json", "image_processor_type", value);
  for (const auto& [key, value] :
       {std::pair("patch_size", Json(5)), std::pair("image_token", Json("<other>")),
        std::pair("image_token", Json("")), std::pair("spatial_merge_size", Json(3)),
        std::pair("image_seq_length", Json(77)), std::pair("image_break_token", Json(4))})
    check("processor_config.json", key, value);
}

// Without one of its keys, a configuration means the class default, which may contradict the weights.
TEST_P(BadPictures, ConfigurationsThatLackAKey) {
  const auto without = [&](const Json& config, const std::string& part, const std::string& key) {
    Json copy = config;
    (part.empty() ? copy : copy[part]).erase(key);
    return copy;
  };
  for (const std::string part : {"", "text_config", "vision_config", "thinker_config"}) {
    if (!part.empty() && !config_.contains(part)) continue;
    for (const auto& [key, value] : (part.empty() ? config_ : config_[part]).items()) {
      SCOPED_TRACE(testing::Message() << part << "." << key);
      std::ofstream(fs::path(model()) / "config.json") << without(config_, part, key).dump();
      expect_handled(ask(1, {"good"}));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, BadPictures, testing::ValuesIn(picture_families()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace farthing::program
