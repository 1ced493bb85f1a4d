// From a source to samples: what is chosen and cut, what is turned away, and that the ledger says all of it.
#include "calibrate/calibration_set.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "checkpoint/test_files.h"
#include "models/family.h"

namespace farthing::calibrate {
namespace {

namespace fs = std::filesystem;
using checkpoint::expect_error;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const fs::path kModel = fs::path(FARTHING_SOURCE_DIR) / "models" / "tiny-llava-21m";
const fs::path kText = fs::path(FARTHING_SOURCE_DIR) / "data" / "text" / "wikitext2-test-part.txt";
const fs::path kKitten = fs::path(FARTHING_SOURCE_DIR) / "data" / "images" / "kitten.jpg";

class Listener : public Reporter {
 public:
  void note(std::string_view line) override { notes.emplace_back(line); }
  void warn(std::string_view line) override { warnings.emplace_back(line); }
  std::vector<std::string> notes, warnings;
};

class CalibrationSetTest : public testing::Test {
 protected:
  CalibrationSetTest()
      : spec_(models::declare(models::Config(read_json(kModel / "config.json")))),
        processor_(models::PromptProcessor::open(kModel, std::make_shared<const nn::ModelSpec>(spec_))) {}

  CalibrationSet build(const CalibrationOptions& options) {
    listener_ = {};
    return build_calibration_set(options, spec_, processor_, listener_, cancel_);
  }

  // A .jsonl of `count` rows of `length` ids each: row r holds 10 r, 10 r + 1, ...
  fs::path rows_of_ids(int count, int length) const {
    std::string text;
    for (int r = 0; r < count; ++r) {
      std::vector<int> ids;
      for (int t = 0; t < length; ++t) ids.push_back(10 * r + t);
      text += Json{{"input_ids", ids}}.dump() + "\n";
    }
    return folder_.write("ids.jsonl", text);
  }

  static std::vector<std::string> origins(const CalibrationSet& set) {
    std::vector<std::string> result;
    for (const Sample& sample : set.samples) result.push_back(sample.origin);
    return result;
  }

  checkpoint::TemporaryFolder folder_;
  nn::ModelSpec spec_;
  models::PromptProcessor processor_;
  Listener listener_;
  CancelToken cancel_;
};

TEST_F(CalibrationSetTest, WindowsSpreadEvenlyOverTheText) {
  const CalibrationSet set = build({.spec = kText, .num_samples = 7, .sequence_length = 100});
  // Documents are joined by one blank line each, and encoded as one text.
  std::string text;
  for (const Record& record : read_records(kText, {})) text += (text.empty() ? "" : "\n\n") + record.text;
  const std::vector<std::int32_t> all = processor_.encode(text, {}, true).ids;
  const auto total = static_cast<std::int64_t>(all.size());
  ASSERT_EQ(set.samples.size(), 7u);
  for (std::int64_t i = 0; i < 7; ++i) {
    const std::int64_t start = i * (total - 100) / 7;
    const Sample& sample = set.samples[static_cast<std::size_t>(i)];
    EXPECT_EQ(sample.origin, fmt::format("wikitext2-test-part.txt@{}", start));
    EXPECT_TRUE(std::equal(sample.prompt.ids.begin(), sample.prompt.ids.end(), all.begin() + start));
  }
  EXPECT_THAT(set.token_counts(), testing::Each(100));
  EXPECT_EQ(set.ledger.tokens, 700);
  EXPECT_EQ(set.ledger.chunked, 7);
}

TEST_F(CalibrationSetTest, DrawnWindowsStayInsideTheTextAndFollowTheSeed) {
  // A text barely longer than one window: the only starts are 0 .. total - length.
  folder_.write("short.txt", "one two three four five six seven eight nine ten eleven twelve");
  const auto total =
      static_cast<std::int64_t>(processor_.encode(read_text(folder_ / "short.txt"), {}, true).ids.size());
  for (std::int64_t seed = 0; seed < 50; ++seed) {
    const CalibrationSet set =
        build({.spec = folder_ / "short.txt", .sequence_length = total - 1, .seed = seed});
    ASSERT_EQ(set.samples.size(), 1u);
    ASSERT_THAT(set.token_counts(), ElementsAre(total - 1));
  }
  const auto drawn = [&](std::int64_t seed) {
    return origins(build({.spec = kText, .num_samples = 16, .sequence_length = 64, .seed = seed}));
  };
  EXPECT_EQ(drawn(1), drawn(1));
  EXPECT_NE(drawn(1), drawn(2));
}

TEST_F(CalibrationSetTest, ATextGivesNoMoreWindowsThanItHolds) {
  folder_.write("short.txt", "one two three four five six seven eight nine ten eleven twelve");
  const auto total =
      static_cast<std::int64_t>(processor_.encode(read_text(folder_ / "short.txt"), {}, true).ids.size());
  const CalibrationSet set = build({.spec = folder_ / "short.txt", .sequence_length = total / 3});
  EXPECT_THAT(set.samples, SizeIs(3)) << "128 copies of three windows would only look like more";
  EXPECT_THAT(build({.spec = folder_ / "short.txt", .sequence_length = total}).token_counts(),
              ElementsAre(total));
}

TEST_F(CalibrationSetTest, RowsSpreadEvenlyOrAreDrawnWithoutRepetition) {
  const fs::path file = rows_of_ids(10, 3);
  EXPECT_THAT(origins(build({.spec = file, .num_samples = 4})),
              ElementsAre("ids.jsonl:1", "ids.jsonl:3", "ids.jsonl:6", "ids.jsonl:8"));
  EXPECT_THAT(build({.spec = file}).samples, SizeIs(10));
  const auto first = origins(build({.spec = file, .num_samples = 10, .seed = 5}));
  EXPECT_EQ(std::set<std::string>(first.begin(), first.end()).size(), 10u);
  EXPECT_EQ(first, origins(build({.spec = file, .num_samples = 10, .seed = 5})));
  EXPECT_NE(first, origins(build({.spec = file, .num_samples = 10, .seed = 6})));
}

TEST_F(CalibrationSetTest, WhatIsLongerThanTheModelIsCutWithANote) {
  spec_.decoder.max_position_embeddings = 64;
  const fs::path file = rows_of_ids(2, 150);
  const CalibrationSet set = build({.spec = file, .num_samples = 5});
  EXPECT_THAT(set.token_counts(), ElementsAre(64, 64, 22, 64, 64)) << "five samples were wanted";
  EXPECT_THAT(origins(set), ElementsAre("ids.jsonl:1@0", "ids.jsonl:1@64", "ids.jsonl:1@128", "ids.jsonl:2@0",
                                        "ids.jsonl:2@64"));
  for (std::size_t t = 0; t < 150; ++t)
    ASSERT_EQ(set.samples[t / 64].prompt.ids[t % 64], static_cast<std::int32_t>(t));
  EXPECT_EQ(set.ledger.chunked, 5);
  EXPECT_THAT(listener_.notes, Contains(AllOf(HasSubstr("2048"), HasSubstr("64 positions"))));
  EXPECT_THAT(listener_.notes, Contains(HasSubstr("5 samples cut from longer ones")));
}

TEST_F(CalibrationSetTest, AShortSourceWarns) {
  const CalibrationSet sentence = build({.spec = "text:auto-gptq is an easy-to-use library"});
  EXPECT_THAT(sentence.samples, SizeIs(1));
  EXPECT_EQ(sentence.ledger.chunked, 0);
  EXPECT_THAT(listener_.warnings, ElementsAre(AllOf(HasSubstr("few"), HasSubstr("1024 inputs"))));
  build({.spec = kText, .num_samples = 8, .sequence_length = 512});
  EXPECT_THAT(listener_.warnings, IsEmpty());
  build({});
  EXPECT_THAT(listener_.warnings, IsEmpty()) << "the built-in set is large enough for the demo model";
}

// Every row is in the ledger: used, or turned away with a reason. The run goes on with the rest.
TEST_F(CalibrationSetTest, TheLedgerKeepsWhatWasTurnedAway) {
  folder_.write("fake.jpg", "not a picture");
  fs::copy_file(kKitten, folder_ / "kitten.jpg");
  const auto chat = [](const Json& images, const std::string& text) {
    return Json{{"images", images}, {"messages", {{{"role", "user"}, {"content", text}}}}}.dump() + "\n";
  };
  folder_.write(
      "rows.jsonl",
      chat({"kitten.jpg"}, "What is it?") + chat({"gone.jpg"}, "What is it?") +
          chat({"fake.jpg"}, "What is it?") +
          R"({"image": "kitten.jpg", "conversations": [{"from": "human", "value": "<image><image>?"}]})"
          "\n{\"text\": \" \"}\n{\"input_ids\": []}\n{\"messages\": []}\n" +
          chat(Json::array(), "Hello"));
  const CalibrationSet set = build({.spec = folder_ / "rows.jsonl"});
  EXPECT_THAT(origins(set), ElementsAre("rows.jsonl:1", "rows.jsonl:8"));
  EXPECT_EQ(set.ledger.records, 8);
  EXPECT_EQ(set.ledger.samples, 2);
  EXPECT_EQ(set.ledger.pictures, 1);
  EXPECT_GE(set.samples[0].prompt.ids.size(), 64u) << "a token for every patch";
  EXPECT_EQ(set.ledger.tokens, set.token_counts()[0] + set.token_counts()[1]);
  ASSERT_THAT(set.ledger.rejected, SizeIs(6));
  EXPECT_EQ(set.ledger.rejected[0].origin, "rows.jsonl:2");
  EXPECT_THAT(set.ledger.rejected[0].reason, HasSubstr("gone.jpg"));
  EXPECT_THAT(set.ledger.rejected[1].reason, HasSubstr("fake.jpg"));
  EXPECT_EQ(set.ledger.rejected[2].origin, "rows.jsonl:4");
  for (std::size_t i = 3; i < 6; ++i) EXPECT_THAT(set.ledger.rejected[i].reason, HasSubstr("empty"));
  EXPECT_THAT(listener_.notes,
              Contains(AllOf(HasSubstr("2 samples"), HasSubstr("1 pictures"), HasSubstr("6 rejected"))));
  EXPECT_THAT(listener_.warnings, Contains(AllOf(HasSubstr("rows.jsonl:2"), HasSubstr("gone.jpg"))));
  const Json json = set.ledger.to_json();
  EXPECT_EQ(json["rejected"][0]["origin"], "rows.jsonl:2");
  EXPECT_EQ(json["records"], 8);
  EXPECT_EQ(json["collator"], "llava");
}

TEST_F(CalibrationSetTest, APromptWithAPictureIsNeverCut) {
  fs::copy_file(kKitten, folder_ / "kitten.jpg");
  expect_error(Code::kInvalidArgument, {"no calibration sample", "kitten.jpg", "sequence_length=32"},
               [&] { build({.spec = folder_.path(), .sequence_length = 32}); });
}

TEST_F(CalibrationSetTest, NothingUsableIsAnErrorWithTheFirstReason) {
  folder_.write("empty.jsonl", "\n\n");
  expect_error(Code::kInvalidArgument, {"no calibration sample", "records=0", "source is empty"},
               [&] { build({.spec = folder_ / "empty.jsonl"}); });
  folder_.write("gone.jsonl", R"({"image": "gone.jpg", "messages": [{"role": "user", "content": "?"}]})");
  expect_error(Code::kInvalidArgument, {"records=1", "gone.jsonl:1: ", "gone.jpg"},
               [&] { build({.spec = folder_ / "gone.jsonl"}); });
  expect_error(Code::kInvalidArgument, {"at least one sample"}, [&] { build({.num_samples = 0}); });
}

TEST_F(CalibrationSetTest, IdsOutsideTheVocabularyNameTheirSample) {
  folder_.write("ids.jsonl", "{\"input_ids\": [1, 2]}\n{\"input_ids\": [4095, 4096]}\n");
  expect_error(Code::kInvalidArgument, {"ids.jsonl:2", "id=4096", "vocab_size=4096"},
               [&] { build({.spec = folder_ / "ids.jsonl"}); });
}

// Texts and chats in one folder: none may get lost because the first file is of another kind.
TEST_F(CalibrationSetTest, MixedFoldersLoseNothing) {
  folder_.write("a.txt", "first document\n\nsecond document");
  folder_.write("b.jsonl", R"({"messages": [{"role": "user", "content": "a chat"}]})");
  EXPECT_THAT(origins(build({.spec = folder_.path()})), ElementsAre("a.txt:1", "a.txt:2", "b.jsonl:1"));
}

TEST_F(CalibrationSetTest, StopsWhenAsked) {
  cancel_.request(2);
  expect_error(Code::kCancelled, {}, [&] { build({.spec = rows_of_ids(3, 3)}); });
}

TEST_F(CalibrationSetTest, ChatsEndWhereTheAssistantWouldBegin) {
  const auto text_of = [&](const std::string& messages) {
    folder_.write("chat.jsonl", fmt::format("{{\"messages\": {}}}", messages));
    return processor_.tokenizer().decode(build({.spec = folder_ / "chat.jsonl"}).samples.at(0).prompt.ids,
                                         {.skip_special_tokens = false});
  };
  EXPECT_THAT(text_of(R"([{"role": "user", "content": "Hello"}])"), testing::EndsWith("<|assistant|>\n"));
  const std::string whole =
      text_of(R"([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}])");
  EXPECT_THAT(whole, AllOf(HasSubstr("Hello"), HasSubstr("Good day")));
  EXPECT_THAT(whole, testing::Not(testing::EndsWith("<|assistant|>\n")));
}

TEST(Collator, IsFoundByNameOrFamily) {
  EXPECT_EQ(find_collator("", "llama").name, "general");
  EXPECT_EQ(find_collator("", "llava").name, "llava");
  EXPECT_EQ(find_collator("general", "llava").name, "general");
  expect_error(Code::kInvalidArgument, {"collator=lava", "general, llava"},
               [] { find_collator("lava", "llava"); });
  EXPECT_EQ(collators().front().name, "general");
}

}  // namespace
}  // namespace farthing::calibrate
