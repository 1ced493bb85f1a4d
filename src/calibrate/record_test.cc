// What files of the field's several shapes become, and what is said about files that lie.
#include "calibrate/record.h"

#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "checkpoint/test_files.h"

namespace farthing::calibrate {
namespace {

namespace fs = std::filesystem;
using checkpoint::expect_error;
using checkpoint::TemporaryFolder;
using testing::ElementsAre;

std::string gzip(const std::string& text) {
  const TemporaryFolder folder;
  const gzFile file = gzopen((folder / "x").c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  return read_text(folder / "x");
}

std::vector<Record> read(const TemporaryFolder& folder, const std::string& name, const std::string& bytes) {
  return read_records(folder.write(name, bytes).string(), {});
}

TEST(Record, ATextHasADocumentPerBlankLine) {
  const TemporaryFolder folder;
  const auto records = read(folder, "a.txt", "one\nstill one\n\n \n\ntwo\n\n\nthree");
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].text, "one\nstill one");
  EXPECT_EQ(records[1].text, "two");
  EXPECT_EQ(records[1].origin, "a.txt:2");
  EXPECT_TRUE(records[2].joinable);
  EXPECT_THAT(read(folder, "empty.txt", ""), testing::IsEmpty());
}

TEST(Record, LinesOfJsonAndAListOfThemAreTheSame) {
  const TemporaryFolder folder;
  const std::string a = R"({"text": "first", "meta": 3})", b = R"({"input_ids": [1, 2, 2147483647]})";
  const auto lines = read(folder, "x.jsonl", a + "\r\n\n  \n" + b);
  const auto list = read(folder, "x.json", " [" + a + "," + b + "]");
  for (const auto& records : {lines, list}) {
    ASSERT_EQ(records.size(), 2u);
    EXPECT_EQ(records[0].text, "first");
    EXPECT_FALSE(records[0].joinable);
    EXPECT_THAT(records[1].ids, ElementsAre(1, 2, 2147483647));
  }
  EXPECT_EQ(lines[1].origin, "x.jsonl:4") << "the line in the file, empty ones counted";
}

TEST(Record, CompressedFilesReadAsPlainOnes) {
  const TemporaryFolder folder;
  EXPECT_EQ(read(folder, "x.jsonl.gz", gzip("{\"text\": \"packed\"}\n"))[0].text, "packed");
  EXPECT_EQ(read(folder, "x.txt.GZ", gzip("a\n\nb")).size(), 2u);
}

// A download that was cut off must not pass as a smaller data set.
TEST(Record, ACompressedFileThatEndsEarlyIsAnError) {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 2000; ++i) text += fmt::format("{{\"text\": \"row {}\"}}\n", i * 7919);
  const std::string whole = gzip(text);
  for (const std::size_t size : {whole.size() - 4, whole.size() / 2, std::size_t{20}}) {
    const auto file = folder.write("cut.txt.gz", whole.substr(0, size));
    expect_error(Code::kCorruptData, {"cut.txt.gz", "fetch it again"}, [&] { read_records(file, {}); });
  }
  std::string damaged = whole;
  damaged[damaged.size() / 2] ^= 0x55;
  const auto file = folder.write("damaged.txt.gz", damaged);
  expect_error(Code::kCorruptData, {"damaged.txt.gz"}, [&] { read_records(file, {}); });
}

TEST(Record, ChatsKeepTheirPicturesInOrder) {
  const TemporaryFolder folder;
  const auto records =
      read(folder, "chats.jsonl",
           R"({"messages": [{"role": "user", "content": [{"type": "image", "image": "b.png"},)"
           R"({"type": "text", "text": "and"}, {"type": "image", "path": "/abs/a.png"}]}]})"
           "\n"
           R"({"images": ["b.png", "a.png"], "messages": [{"role": "system", "content": "S"},)"
           R"({"role": "user", "content": "Compare."}]})"
           "\n"
           R"({"image": null, "messages": [{"role": "user", "content": "No picture."}]})");
  ASSERT_EQ(records.size(), 3u);
  EXPECT_THAT(records[0].images, ElementsAre(folder / "b.png", fs::path("/abs/a.png")));
  // Pictures that no part stands for come first in the first user turn.
  EXPECT_THAT(records[1].images, ElementsAre(folder / "b.png", folder / "a.png"));
  EXPECT_EQ(records[1].messages[0]["content"], "S");
  EXPECT_EQ(
      records[1].messages[1]["content"],
      parse_json(R"([{"type": "image"}, {"type": "image"}, {"type": "text", "text": "Compare."}])", ""));
  EXPECT_THAT(records[2].images, testing::IsEmpty());
  EXPECT_EQ(records[2].messages[0]["content"], "No picture.");
}

TEST(Record, LlavaConversationsBecomeChats) {
  const TemporaryFolder folder;
  const auto records =
      read(folder, "llava.json",
           R"([{"image": "cat.jpg", "conversations": [)"
           R"({"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A cat."}]}])");
  EXPECT_THAT(records.at(0).images, ElementsAre(folder / "cat.jpg"));
  EXPECT_EQ(
      records[0].messages,
      parse_json(
          R"([{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},)"
          R"({"role": "assistant", "content": "A cat."}])",
          ""));
}

TEST(Record, MistakesInAFileNameFileAndLine) {
  const TemporaryFolder folder;
  const std::string good = "{\"text\": \"good\"}\n";
  for (const std::string bad : {
           R"({"text": "cut off)",
           R"(["a", "list"])",
           R"("a text")",
           R"({"txt": "misspelt"})",
           R"({"text": 5})",
           R"({"messages": "no list"})",
           R"({"messages": ["no object"]})",
           R"({"messages": [{"content": "no role"}]})",
           R"({"messages": [{"role": 1, "content": "x"}]})",
           R"({"messages": [{"role": "user", "content": 7}]})",
           R"({"messages": [{"role": "user", "content": ["no part"]}]})",
           R"({"messages": [{"role": "user", "content": [{"type": 1}]}]})",
           R"({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]})",
           R"({"messages": [{"role": "user", "content": [{"type": "image", "image": 1}]}]})",
           R"({"image": {"bytes": "AAAA"}, "messages": []})",
           R"({"conversations": ["no object"]})",
           R"({"conversations": [{"from": 1, "value": "x"}]})",
           R"({"input_ids": [1, 2.5]})",
           R"({"input_ids": [-1]})",
           R"({"input_ids": [4294967301]})",  // 5 in its lower 32 bits
           R"({"input_ids": ["1"]})",
       }) {
    SCOPED_TRACE(bad);
    folder.write("rows.jsonl", fmt::format("{0}{0}{1}\n{0}", good, bad));
    try {
      read_records((folder / "rows.jsonl").string(), {});
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr("rows.jsonl:3"));
      EXPECT_NE(error.code(), Code::kInternal);
      EXPECT_EQ(exit_code(error.code()) == 2 || exit_code(error.code()) == 3, true);
    }
  }
}

TEST(Record, FoldersOfPicturesAskTheQuestion) {
  const TemporaryFolder folder;
  fs::create_directory(folder / "deeper");
  folder.write("b.JPG", "");
  folder.write("deeper/a.png", "");
  folder.write("answers.json", "{}");
  folder.write("notes.md", "not a picture");
  folder.write(".hidden.png", "");
  const auto records = read_records(folder.path(), {.question = "What is it?"});
  ASSERT_EQ(records.size(), 2u);
  EXPECT_THAT(records[0].images, ElementsAre(folder / "b.JPG"));
  EXPECT_EQ(records[1].origin, "a.png");
  EXPECT_EQ(records[1].messages[0]["content"][1]["text"], "What is it?");
}

TEST(Record, FoldersOfTextsAreReadInOrderOfTheirNames) {
  const TemporaryFolder folder;
  folder.write("2.jsonl", "{\"text\": \"second\"}\n");
  folder.write("1.txt", "first");
  folder.write("picture.jpg", "");  // belongs to the rows
  folder.write("dataset_info.json", "{\"splits\": 3}");
  const auto records = read_records(folder.path(), {});
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].text, "first");
  EXPECT_EQ(records[1].text, "second");
}

TEST(Record, FoldersWithoutRecordsSayWhatIsMissing) {
  const TemporaryFolder folder;
  expect_error(Code::kNotFound, {folder.path(), ".jsonl"}, [&] { read_records(folder.path(), {}); });
  const auto file = folder.write("train.parquet", "PAR1");
  expect_error(Code::kNotFound, {"parquet_files=1", "export the parquet"},
               [&] { read_records(folder.path(), {}); });
  expect_error(Code::kUnsupported, {"train.parquet", "export the parquet"}, [&] { read_records(file, {}); });
  expect_error(Code::kUnsupported, {"rows.csv", ".jsonl"}, [&] { read(folder, "rows.csv", "a,b\n1,2\n"); });
}

TEST(Record, ASentenceIsARecord) {
  const auto records = read_records("text:auto-gptq is easy: try it", {});
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].text, "auto-gptq is easy: try it");
}

TEST(Record, TheBuiltInSetFitsTheModel) {
  const auto chats = read_records("builtin", {});
  EXPECT_GE(chats.size(), 128u);
  for (const Record& chat : chats) {
    EXPECT_EQ(chat.messages.at(0).at("role"), "user") << chat.origin;
    EXPECT_THAT(chat.embedded_images, testing::IsEmpty());
  }
  const auto photos = read_records("builtin", {.question = "Which animal?", .pictures = true});
  ASSERT_GE(photos.size(), 8u);
  for (const Record& photo : photos) {
    ASSERT_EQ(photo.embedded_images.size(), 1u) << photo.origin;
    EXPECT_EQ(photo.embedded_images[0].second.substr(0, 2), "\xff\xd8") << "a JPEG";
    EXPECT_EQ(photo.messages.at(0).at("content").at(1).at("text"), "Which animal?");
  }
}

}  // namespace
}  // namespace farthing::calibrate
