#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "tokenizer/json_tables.h"
#include "tokenizer/test_files.h"

namespace farthing::tokenizer {
namespace {

using testing::ElementsAre;

TEST(JsonTables, ReadsMergesAsStringsAndAsPairs) {
  const auto json = parse_tokenizer_json(
      R"({"model": {"merges": ["a b", ["c d", "e"]], "vocab": {"a": 0, "b": 3}, "type": "BPE"}, "x": [1, -2, 0.5]})",
      "");
  std::vector<std::string> merges;
  json.tables.merges.for_each([&](std::size_t, const MergeList::Merge& merge) {
    merges.push_back(fmt::format("{}+{}", merge.left, merge.right));
  });
  EXPECT_THAT(merges, ElementsAre("a+b", "c d+e"));
  EXPECT_EQ(json.tables.vocabulary.id("b"), 3);
  EXPECT_EQ(json.tree, Json::parse(R"({"model": {"type": "BPE"}, "x": [1, -2, 0.5]})"));
}

TEST(JsonTables, ReadsUnigramVocabularies) {
  const auto json = parse_tokenizer_json(R"({"model": {"vocab": [["a", -1], ["b", -2.5]]}})", "");
  EXPECT_EQ(json.tables.vocabulary.id("b"), 1);
  EXPECT_THAT(json.tables.scores, ElementsAre(-1, -2.5));
}

TEST(JsonTables, TablesElsewhereAreOrdinaryJson) {
  const auto json = parse_tokenizer_json(R"({"vocab": {"a": 0}, "other": {"merges": [1]}})", "");
  EXPECT_EQ(json.tree, Json::parse(R"({"vocab": {"a": 0}, "other": {"merges": [1]}})"));
  EXPECT_EQ(json.tables.vocabulary.size(), 0u);
}

TEST(JsonTables, RejectsWrongTables) {
  for (const char* model : {R"({"vocab": 1})",
                            R"({"vocab": "a"})",
                            R"({"vocab": true})",
                            R"({"vocab": {"a": "b"}})",
                            R"({"vocab": {"a": 0.5}})",
                            R"({"vocab": {"a": null}})",
                            R"({"vocab": {"a": {}}})",
                            R"({"vocab": {"a": []}})",
                            R"({"vocab": [1]})",
                            R"({"vocab": ["a"]})",
                            R"({"vocab": [["a"]]})",
                            R"({"vocab": [["a", 1, 2]]})",
                            R"({"vocab": [["a", "b"]]})",
                            R"({"vocab": [[1, "a"]]})",
                            R"({"vocab": [[["a", 1]]]})",
                            R"({"vocab": {"a": -1}})",
                            R"({"vocab": {"a": 1e30}})",
                            R"({"vocab": {"a": 18446744073709551615}})",
                            R"({"vocab": {"a": 99999999}})",
                            R"({"merges": {"a": "b"}})",
                            R"({"merges": "a b"})",
                            R"({"merges": [1]})",
                            R"({"merges": ["ab"]})",
                            R"({"merges": [["a"]]})",
                            R"({"merges": [["a", "b", "c"]]})",
                            R"({"merges": [["a", 1]]})",
                            R"({"merges": [[["a", "b"]]]})",
                            R"({"merges": [null]})",
                            R"({"merges": ["a b c"]})",
                            R"({"vocab": [{}]})",
                            R"({"vocab": [["a", 1e999]]})"}) {
    EXPECT_THROW(parse_tokenizer_json(fmt::format(R"({{"model": {}}})", model), "file"), Error) << model;
  }
}

TEST(JsonTables, RejectsWhatIsNoTokenizerFile) {
  expect_error(Code::kCorruptData, "not valid JSON", [] { parse_tokenizer_json("{\"model\": ", "file"); });
  expect_error(Code::kCorruptData, "file=name", [] { parse_json_tree("", "name"); });
  expect_error(Code::kCorruptData, "too deeply", [] { parse_json_tree(std::string(100000, '['), "file"); });
  std::string many = "{";
  for (int i = 0; i < 30000; ++i) many += fmt::format("\"{}\":1,", i);
  expect_error(Code::kCorruptData, "too many fields", [&] { parse_json_tree(many + "\"x\":1}", "file"); });
  expect_error(Code::kCorruptData, "token to id", [] { parse_vocabulary_json("[]", "file"); });
  expect_error(Code::kCorruptData, "token to id", [] { parse_vocabulary_json("null", "file"); });
  expect_error(Code::kCorruptData, "unexpected value", [] { parse_vocabulary_json("[1]", "file"); });
  expect_error(Code::kCorruptData, "unexpected value", [] { parse_vocabulary_json("7", "file"); });
}

TEST(TokenizerJson, AllStagesInTheirOrder) {
  Json json = character_tokenizer({"<s>", "a", "b", "_", "ab", "<x>"});
  json["added_tokens"] = {added_token(0, "<s>", true), added_token(5, "<x>", false, true)};
  json["normalizer"] = {{"type", "Lowercase"}};
  json["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "first"}, {"split", false}};
  json["post_processor"] = {
      {"type", "Sequence"},
      {"processors",
       {{{"type", "ByteLevel"}},
        {{"type", "TemplateProcessing"},
         {"single", {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}}, {{"Sequence", {{"id", "A"}}}}}},
         {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {0}}}}}}}}}};
  json["model"]["merges"] = Json::array({Json::array({"a", "b"})});
  json["decoder"] = {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "first"}};
  const Tokenizer tokenizer = open_json(json);
  EXPECT_THAT(tokenizer.encode("AB a<X>b<s>b"), ElementsAre(0, 3, 4, 3, 1, 5, 2, 0, 2));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("AB a")), "ab a");
  EXPECT_EQ(tokenizer.vocab_size(), 6);
  EXPECT_EQ(tokenizer.num_special_tokens_to_add(), 1);
}

TEST(TokenizerJson, FramingProcessors) {
  Json json = character_tokenizer({"[CLS]", "[SEP]", "a"});
  json["post_processor"] = {{"type", "BertProcessing"}, {"cls", {"[CLS]", 0}}, {"sep", {"[SEP]", 1}}};
  EXPECT_THAT(open_json(json).encode("a"), ElementsAre(0, 2, 1));
  json["post_processor"]["type"] = "RobertaProcessing";
  EXPECT_THAT(open_json(json).encode("a"), ElementsAre(0, 2, 1));
  json["post_processor"]["cls"] = Json::array({"[CLS]"});
  expect_error(Code::kCorruptData, "field=cls", [&] { open_json(json); });
  json["post_processor"] = {{"type", "TemplateProcessing"}, {"single", Json::array()}};
  expect_error(Code::kUnsupported, "exactly once", [&] { open_json(json); });
  json["post_processor"]["single"] = Json::array({Json{{"SpecialToken", {{"id", "x"}}}}});
  expect_error(Code::kCorruptData, "special_tokens", [&] { open_json(json); });
  json["post_processor"]["special_tokens"] = Json::object();
  expect_error(Code::kCorruptData, "its table lacks", [&] { open_json(json); });
}

TEST(TokenizerJson, AddedTokensKeepTheIdOfTheVocabulary) {
  Json json = character_tokenizer({"a", "<s>"});
  json["added_tokens"] = {added_token(40, "<s>", true), added_token(41, "<new>", true)};
  const Tokenizer tokenizer = open_json(json);
  EXPECT_THAT(tokenizer.encode("<s>a<new>"), ElementsAre(1, 0, 41));
  EXPECT_EQ(tokenizer.vocab_size(), 42);
}

TEST(TokenizerJson, ModelsByTheirContents) {
  Json json = character_tokenizer({"a", "b"});
  json["model"].erase("type");
  json["model"]["merges"] = Json::array();
  json["model"]["unk_token"] = "b";
  EXPECT_THAT(open_json(json).encode("a"), ElementsAre(0));
  json["model"] = {{"vocab", Json::array({Json::array({"u", -1.0}), Json::array({"a", -1.0})})},
                   {"unk_id", 0}};
  EXPECT_THAT(open_json(json).encode("ab"), ElementsAre(1, 0));
  json["model"] = {{"vocab", {{"[UNK]", 0}, {"a", 1}}}, {"max_input_chars_per_word", 3}};
  EXPECT_THAT(open_json(json).encode("aaa"), ElementsAre(0));
}

TEST(TokenizerJson, FaultsAreErrors) {
  expect_error(Code::kCorruptData, "field=model", [] { open_files("tokenizer.json", "{}"); });
  expect_error(Code::kCorruptData, "JSON object", [] { open_files("tokenizer.json", "[]"); });
  const auto with = [](const char* path, const Json& value) {
    Json json = character_tokenizer({"a"});
    json[Json::json_pointer(path)] = value;
    return json;
  };
  expect_error(Code::kUnsupported, "unknown tokenizer model",
               [&] { open_json(with("/model/type", "Magic")); });
  expect_error(Code::kCorruptData, "another model", [&] { open_json(with("/model/type", "Unigram")); });
  expect_error(Code::kCorruptData, "without vocabulary",
               [&] { open_json(with("/model/vocab", Json::object())); });
  expect_error(Code::kCorruptData, "not in the vocabulary",
               [&] { open_json(with("/model/merges", Json::array({"a b"}))); });
  expect_error(Code::kCorruptData,
               "folder=", [&] { open_json(with("/model/merges", Json::array({"a b"}))); });
  expect_error(Code::kCorruptData, "field=added_tokens", [&] { open_json(with("/added_tokens", "x")); });
  expect_error(Code::kCorruptData, "field=id", [&] {
    open_json(with("/added_tokens", Json::array({Json{{"content", "x"}}})));
  });
  expect_error(Code::kCorruptData, "field=id",
               [&] { open_json(with("/added_tokens", Json::array({added_token(-1, "x", true)}))); });
  expect_error(Code::kUnsupported, "stage=pre_tokenizer", [&] {
    open_json(with("/pre_tokenizer", {{"type", "?"}}));
  });
  expect_error(Code::kCorruptData, "field=byte_fallback",
               [&] { open_json(with("/model/byte_fallback", "yes")); });
}

/// Changes values of a valid file one by one to every other type, and cuts it everywhere: an Error or a
/// tokenizer that works, never anything else.
TEST(TokenizerJson, SurvivesDamage) {
  const std::string text =
      read_text(std::filesystem::path(FARTHING_SOURCE_DIR) / "tests/data/families/llava/tokenizer.json");
  const auto survive = [](std::string_view content) {
    try {
      const Tokenizer tokenizer = open_files("tokenizer.json", content);
      tokenizer.decode(tokenizer.encode("Hello <image> w\xC3\xB6rld \xF0\x9F\x98\x8A"));
    } catch (const Error&) {
    }
  };
  std::mt19937 random(3);
  for (int round = 0; round < 150; ++round) {
    survive(std::string_view(text).substr(0, random() % text.size()));
    std::string damaged = text;
    for (int i = 0; i < 3; ++i) damaged[random() % text.size()] = static_cast<char>(random() % 128);
    survive(damaged);
  }
  const Json original = Json::parse(text);
  const std::vector<Json> values = {
      nullptr, true, -1, 1e300, "x", Json::array(), Json::object(), {{"type", "Sequence"}}};
  const Json leaves = original.flatten();
  for (const auto& [path, old] : leaves.items()) {
    if (path.starts_with("/model/vocab") || path.starts_with("/model/merges/1")) continue;
    Json damaged = original;
    damaged[Json::json_pointer(path)] = values[random() % values.size()];
    survive(damaged.dump());
  }
}

}  // namespace
}  // namespace farthing::tokenizer
