// Pictures that nobody expects, through the whole way from file to features: each gives an answer or a clear
// error, and what the prompt holds always fits what the tower makes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "models/prompt.h"
#include "models/test_data.h"

namespace farthing::models {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr std::string_view kFamilies[] = {"gemma3",  "idefics3", "llava",      "llava_next", "mllama",
                                          "pixtral", "qwen2_vl", "qwen2_5_vl", "smolvlm"};

image::Image plain_picture(int width, int height) {
  image::Image picture{.width = width, .height = height};
  picture.rgb.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3, 200);
  return picture;
}

class PictureInput : public testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override {
    folder_ = family_folder(std::string(GetParam()));
    if (!fs::exists(folder_ / "tokenizer.json")) GTEST_SKIP() << "set FARTHING_FIXTURES";
    model_.emplace(Model::open(folder_));
    processor_.emplace(open_processor(folder_));
  }

  PromptProcessor open_processor(const fs::path& folder) const {
    return PromptProcessor::open(folder, std::make_shared<const nn::ModelSpec>(model_->spec()));
  }

  // Rows of the prepared prompt.
  std::int64_t prepare(const std::string& text, std::vector<image::Image> pictures) {
    const Prompt prompt = processor_->encode(text, pictures, true);
    return model_->prepare(prompt.ids, prompt.pictures, pool_).hidden.dim(0);
  }

  fs::path folder_;
  std::optional<Model> model_;
  std::optional<PromptProcessor> processor_;
  ThreadPool pool_{2};
};

TEST_P(PictureInput, AnyShapeGivesFeaturesThatFitOrAClearError) {
  const std::string mark = processor_->placeholder();
  for (const auto& [width, height] :
       {std::pair{1, 1}, {2, 1}, {20000, 10}, {10, 20000}, {333, 7}, {61, 97}}) {
    SCOPED_TRACE(fmt::format("{}x{}", width, height));
    try {
      EXPECT_GT(prepare(mark + "?", {plain_picture(width, height)}), 0);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kInvalidArgument) << error.what();
      EXPECT_THAT(error.what(),
                  testing::AnyOf(HasSubstr("too long and narrow"), HasSubstr("impossible size")));
    }
  }
}

TEST_P(PictureInput, SeveralPicturesOfDifferentShapesFitTogether) {
  const std::string mark = processor_->placeholder();
  const std::int64_t one = prepare(mark + "?", {plain_picture(60, 40)});
  const std::int64_t three = prepare(mark + "and" + mark + "and" + mark + "?",
                                     {plain_picture(60, 40), plain_picture(30, 90), plain_picture(50, 50)});
  EXPECT_GT(three, one);
}

TEST_P(PictureInput, CountsOfPlaceholdersAndPicturesMustAgree) {
  const std::string mark = processor_->placeholder();
  EXPECT_THROW(prepare(mark + mark, {plain_picture(40, 40)}), Error);
  EXPECT_THROW(prepare("?", {plain_picture(40, 40)}), Error);
  EXPECT_THROW(prepare(mark, {}), Error);
  EXPECT_GT(prepare("only words", {}), 0);
}

// The tower wants another size than the processor makes.
TEST_P(PictureInput, AProcessorThatContradictsTheModelIsNamed) {
  const fs::path copy = fs::path(testing::TempDir()) / ("contradiction_" + std::string(GetParam()));
  fs::remove_all(copy);
  fs::create_directories(copy);
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "processor_config.json"})
    if (fs::exists(folder_ / name)) fs::copy_file(folder_ / name, copy / name);
  Json settings = read_json(folder_ / "preprocessor_config.json");
  for (const char* key : {"size", "crop_size", "max_image_size"})
    if (settings.contains(key))
      for (auto& [edge, value] : settings[key].items()) value = 3 * value.get<int>() / 2;
  if (settings.contains("merge_size")) settings["patch_size"] = settings["patch_size"].get<int>() + 1;
  write_text_atomically(copy / "preprocessor_config.json", settings.dump());
  processor_.emplace(open_processor(copy));
  try {
    prepare(processor_->placeholder(), {plain_picture(400, 300)});
    FAIL() << "prepared";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kInvalidArgument);
    EXPECT_THAT(error.hint(), HasSubstr("preprocessor_config.json")) << error.what();
  }
  fs::remove_all(copy);
}

INSTANTIATE_TEST_SUITE_P(Families, PictureInput, testing::ValuesIn(kFamilies),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace farthing::models
