// Labels from file names, what counts as a right answer, and accuracy of the demo model on its own photos.
#include "evaluate/labelled_images.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/test_files.h"

namespace farthing::evaluate {
namespace {

namespace fs = std::filesystem;
using checkpoint::expect_error;

const fs::path kSource = FARTHING_SOURCE_DIR;

bool right(const std::string& answer, const std::string& expected) {
  return is_right(answer, {.label = expected, .expected = expected});
}

TEST(LabelledImages, TheLabelIsWhatStandsBeforeTheLastDash) {
  const checkpoint::TemporaryFolder folder;
  for (const char* name :
       {"cat-007.jpg", "guinea-pig-1.PNG", "dog-.webp", "nodash.jpg", "-1.jpg", "cat-1.txt", "cat-2.jpg.bak"})
    folder.write(name, "");
  fs::create_directory(folder / "folder-1.jpg");
  const auto images = read_labelled_images(folder.path());
  ASSERT_EQ(images.size(), 3u);
  EXPECT_EQ(images[0].label, "cat");
  EXPECT_EQ(images[0].file, folder / "cat-007.jpg");
  EXPECT_EQ(images[1].label, "dog");
  EXPECT_EQ(images[2].label, "guinea-pig");
  EXPECT_EQ(images[2].expected, "guinea-pig");
  EXPECT_FALSE(images[2].whole_text);
}

TEST(LabelledImages, AnswersMayBeGivenPerLabel) {
  const checkpoint::TemporaryFolder folder;
  folder.write("cat-1.jpg", "");
  folder.write("dog-1.jpg", "");
  folder.write("answers.json", R"({"cat": "a small tiger"})");
  const auto images = read_labelled_images(folder.path());
  EXPECT_EQ(images.at(0).expected, "a small tiger");
  EXPECT_TRUE(images[0].whole_text);
  EXPECT_EQ(images.at(1).expected, "dog");
  EXPECT_FALSE(images[1].whole_text);
  for (const char* bad : {R"({"cat": ""})", R"({"cat": 3})", R"(["cat"])", R"({"cat": "a)"}) {
    folder.write("answers.json", bad);
    expect_error(Code::kCorruptData, {(folder / "answers.json").string()},
                 [&] { read_labelled_images(folder.path()); });
  }
}

TEST(LabelledImages, FoldersWithoutAnyAreAnError) {
  const checkpoint::TemporaryFolder folder;
  expect_error(Code::kNotFound, {folder.path(), "cat-007.jpg"}, [&] { read_labelled_images(folder.path()); });
  expect_error(Code::kNotFound, {"nowhere"}, [&] { read_labelled_images(folder / "nowhere"); });
}

TEST(LabelledImages, RightMeansTheWholeWordInAnyCase) {
  EXPECT_TRUE(right("This is a cat.", "cat"));
  EXPECT_TRUE(right("CAT", "cat"));
  EXPECT_TRUE(right("cat", "Cat"));
  EXPECT_TRUE(right("concatenated cat", "cat")) << "the second occurrence counts";
  EXPECT_TRUE(right("a cat-like dog", "cat"));
  EXPECT_FALSE(right("a category", "cat"));
  EXPECT_FALSE(right("a bobcat", "cat"));
  EXPECT_FALSE(right("cat_1", "cat"));
  EXPECT_FALSE(right("cat\xc3\xa9gorie", "cat"));
  EXPECT_FALSE(right("", "cat"));
  EXPECT_TRUE(right("It is a guinea-pig!", "guinea-pig"));
  EXPECT_FALSE(right("a small  tiger", "small tiger"));
}

class AccuracyTest : public testing::Test {
 protected:
  AccuracyTest() {
    fs::copy_file(kSource / "data" / "images" / "kitten.jpg", folder_ / "cat-1.jpg");
    fs::copy_file(kSource / "data" / "images" / "kitten.jpg", folder_ / "zeppelin-1.jpg");
  }

  Accuracy measure(models::Model* base, std::int64_t max_tokens = 12) {
    const Json messages = parse_json(
        R"([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What animal is this?"}]}])",
        "");
    return measure_accuracy(model_, base, processor_, read_labelled_images(folder_.path()), messages,
                            max_tokens, pool_, reporter_, cancel_);
  }

  const fs::path path_ = kSource / "models" / "tiny-llava-21m";
  checkpoint::TemporaryFolder folder_;
  models::Model model_ = models::Model::open(path_);
  models::PromptProcessor processor_ =
      models::PromptProcessor::open(path_, std::make_shared<const nn::ModelSpec>(model_.spec()));
  ThreadPool pool_{2};
  Reporter reporter_;
  CancelToken cancel_;
};

TEST_F(AccuracyTest, CountsRightAnswers) {
  const Accuracy result = measure(nullptr);
  EXPECT_EQ(result.count, 2);
  EXPECT_EQ(result.right, 1) << "the kitten is a cat and no zeppelin";
  EXPECT_DOUBLE_EQ(result.accuracy, 0.5);
  EXPECT_FALSE(result.first_token.has_value());
}

TEST_F(AccuracyTest, AgainstItselfNothingDiffers) {
  models::Model same = models::Model::open(path_);
  const Accuracy result = measure(&same);
  EXPECT_EQ(result.first_token.value().count, 2);
  EXPECT_EQ(result.first_token->kl_mean, 0);
  EXPECT_EQ(result.first_token->top1_agreement, 1);
  EXPECT_EQ(result.same_answer, 1);
}

TEST_F(AccuracyTest, APictureThatIsNoneIsNamed) {
  folder_.write("dog-1.jpg", "not a picture");
  expect_error(Code::kUnsupported, {"dog-1.jpg"}, [&] { measure(nullptr); });
}

TEST_F(AccuracyTest, StopsWhenAsked) {
  cancel_.request(2);
  expect_error(Code::kCancelled, {}, [&] { measure(nullptr); });
}

}  // namespace
}  // namespace farthing::evaluate
