#include <cstring>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/protobuf_reader.h"
#include "tokenizer/test_files.h"

namespace farthing::tokenizer {
namespace {

using testing::ElementsAre;

const std::string kSpace("\xE2\x96\x81");

/// Writes the wire format of protocol buffers.
class Message {
 public:
  Message& integer(int field, std::uint64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(value);
    return *this;
  }
  Message& number(int field, float value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 5);
    bytes_.append(reinterpret_cast<const char*>(&value), 4);
    return *this;
  }
  Message& bytes(int field, std::string_view value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2);
    varint(value.size());
    bytes_ += value;
    return *this;
  }
  const std::string& str() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }
  std::string bytes_;
};

constexpr int kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kByte = 6;

struct Piece {
  std::string text;
  float score;
  int type = kNormal;
};

std::string model_of(const std::vector<Piece>& pieces, int model_type, const Message& trainer_extra = {},
                     bool remove_extra_whitespaces = false) {
  Message model;
  for (const Piece& piece : pieces) {
    Message message;
    message.bytes(1, piece.text).number(2, piece.score);
    if (piece.type != kNormal) message.integer(3, static_cast<std::uint64_t>(piece.type));
    model.bytes(1, message.str());
  }
  Message trainer;
  trainer.integer(3, static_cast<std::uint64_t>(model_type));
  model.bytes(2, trainer.str() + trainer_extra.str());
  model.bytes(3, Message().bytes(1, "identity").integer(4, remove_extra_whitespaces).str());
  return model.str();
}

std::vector<Piece> llama_pieces() {
  return {{"<unk>", 0, kUnknown},
          {"<s>", 0, kControl},
          {"</s>", 0, kControl},
          {"<0xC3>", 0, kByte},
          {"<0xA9>", 0, kByte},
          {kSpace + "a", -1},
          {"ab", -2},
          {"bc", -2},
          {kSpace, -9},
          {"a", -9},
          {"b", -9},
          {"c", -9},
          {"<tool>", 0, kUserDefined}};
}

TEST(ProtobufReader, ReadsEveryWireType) {
  const std::string bytes =
      Message().integer(1, 300).bytes(2, "ab").number(3, 0.5f).str() + std::string("\x21") + "12345678";
  ProtobufReader reader(bytes);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.integer(), 300);
  expect_error(Code::kCorruptData, "another type", [&] { reader.bytes(); });
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.bytes(), "ab");
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.number(), 0.5f);
  ASSERT_TRUE(reader.next());
  EXPECT_EQ(reader.field(), 4);
  EXPECT_FALSE(reader.next());
}

TEST(ProtobufReader, RejectsDamage) {
  const auto walk = [](std::string_view bytes) {
    for (ProtobufReader reader(bytes); reader.next();) {
    }
  };
  expect_error(Code::kCorruptData, "cut short", [&] {
    walk(
        "\x0A\x05"
        "ab");
  });
  expect_error(Code::kCorruptData, "cut short", [&] { walk("\x08"); });
  expect_error(Code::kCorruptData, "does not end", [&] { walk(std::string(11, '\xFF')); });
  expect_error(Code::kCorruptData, "impossible field", [&] { walk(std::string("\0", 1)); });
  expect_error(Code::kCorruptData, "unknown wire type", [&] { walk("\x0B"); });
  expect_error(Code::kCorruptData, "cut short", [&] { walk("\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F"); });
}

TEST(SentencePieceModel, BpeMergesTheBestScoreFirst) {
  const Tokenizer tokenizer =
      open_files("tokenizer.model", model_of(llama_pieces(), 2, Message().integer(35, 1)));
  EXPECT_THAT(tokens_of(tokenizer, "abc"), ElementsAre(kSpace + "a", "bc"));
  EXPECT_THAT(tokens_of(tokenizer, "babc"),
              ElementsAre(kSpace, "b", "ab", "c"));  // equal scores: the leftmost
  EXPECT_THAT(tokens_of(tokenizer, "\xC3\xA9\xC3\xA8"), ElementsAre(kSpace, "<0xC3>", "<0xA9>", "<unk>"));
  EXPECT_THAT(tokenizer.encode("a"), ElementsAre(1, 5));
  EXPECT_EQ(tokenizer.special_token("bos_token"), "<s>");
  EXPECT_EQ(tokenizer.special_token("eos_token"), "</s>");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("a b\xC3\xA9")), "a b\xC3\xA9");
}

TEST(SentencePieceModel, ThePrefixIsEverywhereOrAtTheStart) {
  const std::string model = model_of(llama_pieces(), 2);
  const Tokenizer legacy = open_files("tokenizer.model", model);
  EXPECT_THAT(tokens_of(legacy, "a</s>a"), ElementsAre(kSpace + "a", "</s>", kSpace + "a"));
  const Tokenizer modern = open_files("tokenizer.model", model, R"({"legacy": false})");
  EXPECT_THAT(tokens_of(modern, "a</s>a"), ElementsAre(kSpace + "a", "</s>", "a"));
}

TEST(SentencePieceModel, FlagsOfTheConfiguration) {
  const std::string model = model_of(llama_pieces(), 2);
  EXPECT_THAT(
      open_files("tokenizer.model", model, R"({"add_bos_token": false, "add_eos_token": true})").encode("a"),
      ElementsAre(5, 2));
  const Tokenizer padded =
      open_files("tokenizer.model", model, R"({"pad_token": "<pad>", "model_max_length": 77})");
  EXPECT_EQ(padded.token_id("<pad>"), 13);
  EXPECT_TRUE(padded.is_special(13));
  EXPECT_EQ(padded.model_max_length(), 77);
}

TEST(SentencePieceModel, ControlTokensAreSpecialAndUserDefinedOnesAreNot) {
  const Tokenizer tokenizer = open_files("tokenizer.model", model_of(llama_pieces(), 2));
  EXPECT_TRUE(tokenizer.is_special(1));
  EXPECT_FALSE(tokenizer.is_special(12));
  EXPECT_THAT(tokens_of(tokenizer, "a<tool>"), ElementsAre(kSpace + "a", "<tool>"));
}

TEST(SentencePieceModel, UnigramWithExtraSpacesRemoved) {
  const Tokenizer tokenizer = open_files("tokenizer.model", model_of(llama_pieces(), 1, {}, true),
                                         R"({"tokenizer_class": "T5Tokenizer"})");
  EXPECT_THAT(tokens_of(tokenizer, "  a   b "), ElementsAre(kSpace + "a", kSpace, "b"));
  EXPECT_THAT(tokenizer.encode("a"), ElementsAre(5, 2));
  EncodeOptions plain;
  plain.parse_special_tokens = false;
  plain.add_special_tokens = false;
  for (const std::int32_t id : tokenizer.encode("</s><s>", plain))
    EXPECT_FALSE(tokenizer.is_special(id) && id != 0);
}

TEST(SentencePieceModel, RejectsWhatIsNoModel) {
  expect_error(Code::kCorruptData, "without pieces", [] { open_files("tokenizer.model", ""); });
  expect_error(Code::kCorruptData, "protocol buffer",
               [] { open_files("tokenizer.model", "version https://git-lfs"); });
  expect_error(Code::kUnsupported, "neither BPE nor unigram",
               [] { open_files("tokenizer.model", model_of(llama_pieces(), 3)); });
  expect_error(Code::kCorruptData, "not UTF-8", [] {
    open_files("tokenizer.model", model_of({{"\xFF", 0}}, 2));
  });
  expect_error(Code::kCorruptData, "not finite", [] {
    open_files("tokenizer.model", model_of({{"a", NAN}}, 2));
  });
}

TEST(SentencePieceModel, SurvivesDamage) {
  const std::string model = model_of(llama_pieces(), 2, Message().integer(35, 1));
  const auto survive = [](std::string_view content) {
    try {
      open_files("tokenizer.model", content).encode("abc \xC3\xA9");
    } catch (const Error&) {
    }
  };
  for (std::size_t length = 0; length < model.size(); ++length)
    survive(std::string_view(model).substr(0, length));
  std::mt19937 random(5);
  for (int round = 0; round < 500; ++round) {
    std::string damaged = model;
    for (int i = 0; i < 2; ++i) damaged[random() % model.size()] = static_cast<char>(random());
    survive(damaged);
  }
}

}  // namespace
}  // namespace farthing::tokenizer
