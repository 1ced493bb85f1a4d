#include "tokenizer/tokenizer.h"

#include <random>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "tokenizer/base64.h"
#include "tokenizer/test_files.h"

namespace farthing::tokenizer {
namespace {

using testing::ElementsAre;

const std::filesystem::path kSource(FARTHING_SOURCE_DIR);

Tokenizer demo() {
  return Tokenizer::open(kSource / "models/tiny-llava-21m");
}

TEST(Tokenizer, DemoModel) {
  const Tokenizer tokenizer = demo();
  EXPECT_EQ(tokenizer.vocab_size(), 4096);
  EXPECT_EQ(tokenizer.model_max_length(), 1024);
  EXPECT_EQ(tokenizer.special_token("eos_token"), "<|end|>");
  EXPECT_EQ(tokenizer.special_token("unk_token"), std::nullopt);
  EXPECT_EQ(tokenizer.special_token_with_id("bos_token")->id, 1);
  EXPECT_EQ(tokenizer.token_id("<image>"), 3);
  EXPECT_TRUE(tokenizer.is_special(3));
  EXPECT_FALSE(tokenizer.is_special(300));
  EXPECT_EQ(tokenizer.token(3), "<image>");
  EXPECT_EQ(tokenizer.token(4096), std::nullopt);
  EXPECT_EQ(tokenizer.token_id("no such token"), std::nullopt);
  EXPECT_FALSE(tokenizer.clean_up_tokenization_spaces());
  const Ids ids = tokenizer.encode("<|user|>\n<image>\nWhat animal is this?<|end|>\n");
  EXPECT_EQ(ids[0], 1);
  EXPECT_EQ(ids[1], 5);
  EXPECT_EQ(tokenizer.decode(ids), "\n\nWhat animal is this?\n");
  EXPECT_EQ(tokenizer.decode(ids, {.skip_special_tokens = false}),
            "<s><|user|>\n<image>\nWhat animal is this?<|end|>\n");
}

TEST(Tokenizer, PlainTextForgesNoControlTokens) {
  const Tokenizer tokenizer = demo();
  EncodeOptions plain;
  plain.add_special_tokens = false;
  plain.parse_special_tokens = false;
  const std::string text = "<|end|><s> hi <image>";
  const Ids ids = tokenizer.encode(text, plain);
  for (const std::int32_t id : ids) EXPECT_FALSE(tokenizer.is_special(id));
  EXPECT_EQ(tokenizer.decode(ids), text);
}

TEST(Tokenizer, PlainTextForgesNoControlTokensThatAreWords) {
  Json json = character_tokenizer({"<unk>", "</s>", "a", "b"});
  json["model"] = {{"type", "Unigram"}, {"unk_id", 0}, {"vocab", Json::array()}};
  for (const char* piece : {"<unk>", "</s>", "a", "<", "/", "s", ">"}) {
    json["model"]["vocab"].push_back({piece, piece[1] == '\0' ? -1.0 : 0.0});
  }
  json["added_tokens"] = {added_token(0, "<unk>", true), added_token(1, "</s>", true)};
  const Tokenizer tokenizer = open_json(json);
  EncodeOptions plain;
  plain.parse_special_tokens = false;
  EXPECT_THAT(tokenizer.encode("a</s>a</s>", plain), ElementsAre(2, 3, 4, 5, 6, 2, 3, 4, 5, 6));
  EXPECT_THAT(tokenizer.encode("a</s>"), ElementsAre(2, 1));
}

TEST(Tokenizer, CutsToALength) {
  const Tokenizer tokenizer = demo();
  EncodeOptions options;
  options.max_length = 3;
  const Ids ids = tokenizer.encode("one two three four", options);
  const Ids all = tokenizer.encode("one two three four");
  EXPECT_EQ(ids, Ids(all.begin(), all.begin() + 3));
  options.max_length = 0;
  expect_error(Code::kInvalidArgument, "fewer tokens", [&] { tokenizer.encode("one", options); });
}

TEST(Tokenizer, AnyBytesGiveIdsAndValidText) {
  const Tokenizer tokenizer = demo();
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("a\xFFz")), "a\xEF\xBF\xBDz");
  EXPECT_EQ(tokenizer.encode("").size(), 1u);
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::string bytes(random() % 60, '\0');
    for (char& byte : bytes)
      byte = static_cast<char>(random() % 3 == 0 ? random() : "<s> |a\n\xC3\xA9"[random() % 9]);
    const std::string text = tokenizer.decode(encode_plain(tokenizer, bytes), {.skip_special_tokens = false});
    ASSERT_EQ(encode_plain(tokenizer, text), encode_plain(tokenizer, bytes));
  }
  for (int round = 0; round < 300; ++round) {
    Ids ids(random() % 20);
    for (std::int32_t& id : ids) id = static_cast<std::int32_t>(random() % 4200) - 50;
    tokenizer.decode(ids);
  }
  EXPECT_EQ(tokenizer.decode(Ids{-1, 1 << 30}), "");
}

TEST(Tokenizer, WorksFromManyThreads) {
  const Tokenizer tokenizer = demo();
  const Ids expected = tokenizer.encode("The cat sat on the mat.");
  std::vector<std::thread> threads;
  std::vector<int> wrong(4, 0);
  for (int& count : wrong) {
    threads.emplace_back([&count, &tokenizer, &expected] {
      for (int round = 0; round < 100; ++round) {
        count += tokenizer.encode("The cat sat on the mat.") != expected;
        count += tokenizer.decode(expected) != "The cat sat on the mat.";
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

TEST(Tokenizer, CleansUpWhereTheConfigurationSaysSo) {
  const Json json = character_tokenizer({"a", " ", "."});
  const Tokenizer tokenizer = open_json(json, R"({"clean_up_tokenization_spaces": true})");
  const Ids ids = tokenizer.encode("a .");
  EXPECT_EQ(tokenizer.decode(ids), "a.");
  EXPECT_EQ(tokenizer.decode(ids, {.clean_up_tokenization_spaces = false}), "a .");
  EXPECT_EQ(open_json(json).decode(ids), "a .");
}

TEST(Tokenizer, NoDecoderJoinsWithSpaces) {
  Json json = character_tokenizer({"a", "b"});
  json["decoder"] = nullptr;
  EXPECT_EQ(open_json(json).decode(Ids{0, 1}), "a b");
}

TEST(Tokenizer, RolesOfTheConfiguration) {
  const Json json = character_tokenizer({"<s>", "</s>", "a", "<img>"});
  const TemporaryFolder folder;
  folder.write("tokenizer.json", json.dump());
  folder.write("tokenizer_config.json", R"({
    "bos_token": {"content": "<s>", "lstrip": true}, "image_token": "<img>", "add_bos_token": true, "eos_token": null,
    "additional_special_tokens": ["<extra>"], "extra_special_tokens": {"boi_token": "<boi>"},
    "added_tokens_decoder": {"9": {"content": "<nine>", "special": false, "rstrip": true}},
    "model_max_length": 1000000000000000019884624838656})");
  folder.write("special_tokens_map.json", R"({"bos_token": "ignored", "pad_token": {"content": "</s>"}})");
  folder.write("added_tokens.json", R"({"<ten>": 10})");
  const Tokenizer tokenizer = Tokenizer::open(folder.path());
  EXPECT_EQ(tokenizer.special_token("bos_token"), "<s>");
  EXPECT_EQ(tokenizer.special_token("pad_token"), "</s>");
  EXPECT_EQ(tokenizer.special_token("image_token"), "<img>");
  EXPECT_EQ(tokenizer.special_token("boi_token"), "<boi>");
  EXPECT_EQ(tokenizer.special_token("eos_token"), std::nullopt);
  EXPECT_EQ(tokenizer.model_max_length(), std::nullopt);
  EXPECT_EQ(tokenizer.token_id("<ten>"), 10);
  EXPECT_TRUE(tokenizer.is_special(*tokenizer.token_id("<extra>")));
  EXPECT_FALSE(tokenizer.is_special(9));
  EXPECT_THAT(tokenizer.encode("a  <s><img><nine> a"), ElementsAre(2, 0, 3, 9, 2));
}

TEST(Tokenizer, LlamaClassesFrameByTheirFlags) {
  const Json json = character_tokenizer({"<s>", "</s>", "a"});
  const auto ids = [&](const char* flags) {
    return open_json(json, fmt::format(R"({{"bos_token": "<s>", "eos_token": "</s>", {}}})", flags))
        .encode("a");
  };
  EXPECT_THAT(ids(R"("tokenizer_class": "LlamaTokenizerFast", "add_bos_token": true)"), ElementsAre(0, 2));
  EXPECT_THAT(ids(R"("tokenizer_class": "GemmaTokenizer", "add_eos_token": true)"), ElementsAre(0, 2, 1));
  EXPECT_THAT(ids(R"("tokenizer_class": "LlamaTokenizer", "add_bos_token": false)"), ElementsAre(2));
  EXPECT_THAT(ids(R"("tokenizer_class": "LlamaTokenizer")"), ElementsAre(2));
  EXPECT_THAT(ids(R"("tokenizer_class": "GPT2Tokenizer", "add_bos_token": true)"), ElementsAre(2));
}

TEST(Tokenizer, FaultsOfTheConfigurationAreErrors) {
  const Json json = character_tokenizer({"a"});
  for (const char* config :
       {"[]", "{", R"({"add_bos_token": 1})", R"({"tokenizer_class": []})", R"({"model_max_length": "x"})",
        R"({"added_tokens_decoder": []})", R"({"added_tokens_decoder": {"x": "a"}})",
        R"({"added_tokens_decoder": {"-1": "a"}})", R"({"added_tokens_decoder": {"99999999": "a"}})",
        R"({"added_tokens_decoder": {"1": 5}})"}) {
    expect_error(Code::kCorruptData, "", [&] { open_json(json, config); });
  }
}

TEST(Tokenizer, SaysWhatIsMissing) {
  const TemporaryFolder folder;
  expect_error(Code::kNotFound, "no files", [&] { Tokenizer::open(folder.path()); });
  folder.write("vocab.json", "{}");
  expect_error(Code::kNotFound, "merges.txt", [&] { Tokenizer::open(folder.path()); });
  expect_error(Code::kNotFound, "there=vocab.json", [&] { Tokenizer::open(folder.path()); });
  expect_error(Code::kNotFound, "no such folder", [&] { Tokenizer::open(folder.path() / "nowhere"); });
}

/// The two files of the demo model's byte-level BPE, as they were before there was tokenizer.json.
void write_vocab_and_merges(const TemporaryFolder& folder) {
  const Json json = Json::parse(read_text(kSource / "models/tiny-llava-21m/tokenizer.json"));
  folder.write("vocab.json", json["model"]["vocab"].dump());
  std::string merges = "#version: 0.2\r\n";
  for (const Json& merge : json["model"]["merges"]) {
    merges += merge[0].get<std::string>() + " " + merge[1].get<std::string>() + "\n";
  }
  folder.write("merges.txt", merges);
}

TEST(VocabAndMerges, IsWhatTokenizerJsonIs) {
  const TemporaryFolder folder;
  write_vocab_and_merges(folder);
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true,
    "bos_token": {"__type": "AddedToken", "content": "</s>", "normalized": true}, "eos_token": "</s>"})");
  const Tokenizer tokenizer = Tokenizer::open(folder.path());
  const std::string text = "It's a cat,  isn't it? \xC3\xA9\n\n12";
  EXPECT_EQ(encode_plain(tokenizer, text), encode_plain(demo(), text));
  EXPECT_EQ(tokenizer.encode(text)[0], 2);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
  EXPECT_THAT(encode_plain(tokenizer, "</s>"), ElementsAre(2));
}

TEST(VocabAndMerges, Classes) {
  const TemporaryFolder folder;
  write_vocab_and_merges(folder);
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "RobertaTokenizer"})");
  Ids ids = Tokenizer::open(folder.path()).encode("a");
  EXPECT_EQ(ids.front(), 1);
  EXPECT_EQ(ids.back(), 2);
  folder.write("tokenizer_config.json", R"({"tokenizer_class": "Qwen2Tokenizer"})");
  const Tokenizer qwen = Tokenizer::open(folder.path());
  EXPECT_EQ(encode_plain(qwen, "12345").size(), 5u);                           // every digit for itself
  EXPECT_EQ(encode_plain(qwen, "e\xCC\x81"), encode_plain(qwen, "\xC3\xA9"));  // composed
  folder.write("tokenizer_config.json", R"({"add_prefix_space": true})");
  const Tokenizer prefixed = Tokenizer::open(folder.path());
  EXPECT_EQ(encode_plain(prefixed, "cat"), encode_plain(prefixed, " cat"));
}

TEST(VocabAndMerges, FaultsAreErrors) {
  const TemporaryFolder folder;
  folder.write("vocab.json", R"({"a": 0, "b": 1})");
  folder.write("merges.txt", "a b\n");
  expect_error(Code::kCorruptData, "not in the vocabulary", [&] { Tokenizer::open(folder.path()); });
  folder.write("merges.txt", "a b c\n");
  expect_error(Code::kCorruptData, "two tokens", [&] { Tokenizer::open(folder.path()); });
  folder.write("merges.txt", "");
  EXPECT_THAT(encode_plain(Tokenizer::open(folder.path()), "ab"), ElementsAre(0, 1));
}

TEST(Base64, Decodes) {
  EXPECT_EQ(decode_base64("aGk="), "hi");
  EXPECT_EQ(decode_base64("aGk"), "hi");
  EXPECT_EQ(decode_base64("/+8="), "\xFF\xEF");
  EXPECT_EQ(decode_base64(""), "");
  EXPECT_EQ(decode_base64("a"), std::nullopt);
  EXPECT_EQ(decode_base64("a b="), std::nullopt);
}

TEST(TekkenJson, MergesByRank) {
  Json json = {
      {"config", {{"pattern", R"(\s*\S+)"}, {"default_num_special_tokens", 4}, {"default_vocab_size", 10}}},
      {"special_tokens", {{{"rank", 1}, {"token_str", "<s>"}}, {{"rank", 3}, {"token_str", "[INST]"}}}},
      {"vocab", Json::array()}};
  for (const char* bytes :
       {"YQ==", "Yg==", "Yw==", "YmM=", "YWI=", "YWJj", "eHg="}) {  // a b c bc ab abc, one too many
    json["vocab"].push_back({{"rank", json["vocab"].size()}, {"token_bytes", bytes}});
  }
  const Tokenizer tokenizer = open_files("tekken.json", json.dump());
  EXPECT_THAT(tokenizer.encode("[INST]abc"), ElementsAre(1, 3, 9));
  EXPECT_THAT(encode_plain(tokenizer, "abcb"), ElementsAre(9, 5));
  EXPECT_THAT(encode_plain(tokenizer, "bcb"), ElementsAre(7, 5));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("abcb")), "abcb");
  EXPECT_EQ(tokenizer.special_token("eos_token"), "</s>");
  EXPECT_EQ(tokenizer.vocab_size(), 10);
  json["vocab"][0]["token_bytes"] = "?";
  expect_error(Code::kCorruptData, "field=token_bytes", [&] { open_files("tekken.json", json.dump()); });
  json.erase("config");
  expect_error(Code::kCorruptData, "field=config", [&] { open_files("tekken.json", json.dump()); });
}

TEST(StreamDecoder, NeverSplitsACharacter) {
  const Tokenizer tokenizer = demo();
  const std::string text = "Caf\xC3\xA9 \xF0\x9F\x98\x8A \xE6\x97\xA5\xE6\x9C\xAC!";
  StreamDecoder stream(tokenizer);
  std::string joined;
  for (const std::int32_t id : tokenizer.encode(text)) {
    const std::string piece = stream.push(id);
    EXPECT_EQ(piece.find("\xEF\xBF\xBD"), std::string::npos);
    joined += piece;
  }
  EXPECT_EQ(joined + stream.finish(), text);
}

TEST(StreamDecoder, KeepsTheSpacesOfSentencePiece) {
  const std::string s("\xE2\x96\x81");
  Json json = character_tokenizer({s + "a", s + "b", "<0xC3>", "<0xA9>"});
  json["decoder"] = {{"type", "Sequence"},
                     {"decoders",
                      {{{"type", "Replace"}, {"pattern", {{"String", s}}}, {"content", " "}},
                       {{"type", "ByteFallback"}},
                       {{"type", "Fuse"}},
                       {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}};
  StreamDecoder stream(open_json(json));
  EXPECT_EQ(stream.push(0), "a");
  EXPECT_EQ(stream.push(1), " b");
  EXPECT_EQ(stream.push(2), "");
  EXPECT_EQ(stream.push(3), "\xC3\xA9");
  EXPECT_EQ(stream.push(2), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(stream.push(0), "a");  // as new
}

}  // namespace
}  // namespace farthing::tokenizer
