#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/pre_tokenizer.h"
#include "tokenizer/test_files.h"

namespace farthing::tokenizer {
namespace {

using testing::ElementsAre;

std::vector<std::string> pieces(const Json& description, std::string text, bool at_start = true) {
  PreTokenizedText pre{std::move(text), {}, at_start};
  if (!pre.text.empty()) pre.pieces = {{0, pre.text.size()}};
  make_pre_tokenizer(description)->apply(pre);
  std::vector<std::string> result;
  for (const Span& span : pre.pieces) result.emplace_back(pre.piece(span));
  return result;
}

Json split(const char* pattern, const char* behavior, bool invert = false) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", behavior}, {"invert", invert}};
}

TEST(PreTokenizers, SplitBehaviors) {
  EXPECT_THAT(pieces(split("-", "Removed"), "--a--b-"), ElementsAre("a", "b"));
  EXPECT_THAT(pieces(split("-", "Isolated"), "--a--b-"), ElementsAre("-", "-", "a", "-", "-", "b", "-"));
  EXPECT_THAT(pieces(split("-", "MergedWithPrevious"), "--a--b-"), ElementsAre("-", "-", "a-", "-", "b-"));
  EXPECT_THAT(pieces(split("-", "MergedWithNext"), "--a--b-"), ElementsAre("-", "-a", "-", "-b", "-"));
  EXPECT_THAT(pieces(split("-", "Contiguous"), "--a--b-"), ElementsAre("--", "a", "--", "b", "-"));
}

TEST(PreTokenizers, InvertedSplits) {
  EXPECT_THAT(pieces(split("-+", "Removed", true), "--a--b-"), ElementsAre("--", "--", "-"));
  EXPECT_THAT(pieces(split("-+", "MergedWithPrevious", true), "--a--b-"), ElementsAre("--a", "--b", "-"));
  EXPECT_THAT(pieces(split("-+", "MergedWithNext", true), "--a--b-"), ElementsAre("--", "a--", "b-"));
  EXPECT_THAT(pieces(split("", "Isolated"), "ab"), ElementsAre("a", "b"));
}

TEST(PreTokenizers, ByteLevel) {
  const Json with_regex = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  EXPECT_THAT(pieces(with_regex, "It's \xC3\xA9\n"),
              ElementsAre("It", "'s", "\xC4\xA0\xC3\x83\xC2\xA9", "\xC4\x8A"));
  const Json with_prefix = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"use_regex", false}};
  EXPECT_THAT(pieces(with_prefix, "a b"), ElementsAre("\xC4\xA0"
                                                      "a\xC4\xA0"
                                                      "b"));
  EXPECT_THAT(pieces(with_prefix, " a"), ElementsAre("\xC4\xA0"
                                                     "a"));
  EXPECT_THAT(pieces(with_prefix, ""), ElementsAre());
}

TEST(PreTokenizers, Metaspace) {
  const std::string s("\xE2\x96\x81");
  const auto metaspace = [](const char* scheme, bool do_split) {
    return Json{{"type", "Metaspace"},
                {"replacement", "\xE2\x96\x81"},
                {"prepend_scheme", scheme},
                {"split", do_split}};
  };
  EXPECT_THAT(pieces(metaspace("always", true), "a  b"), ElementsAre(s + "a", s, s + "b"));
  EXPECT_THAT(pieces(metaspace("first", false), "a b"), ElementsAre(s + "a" + s + "b"));
  EXPECT_THAT(pieces(metaspace("first", false), "a b", false), ElementsAre("a" + s + "b"));
  EXPECT_THAT(pieces(metaspace("first", false), " a"), ElementsAre(s + "a"));
  EXPECT_THAT(pieces(metaspace("never", true), "a b"), ElementsAre("a", s + "b"));
  EXPECT_THAT(
      pieces({{"type", "Metaspace"}, {"replacement", "_"}, {"add_prefix_space", false}, {"str_rep", "x"}},
             "a b"),
      ElementsAre("a", "_b"));
  EXPECT_THAT(pieces({{"type", "Metaspace"}, {"replacement", "_"}, {"add_prefix_space", true}}, "a b"),
              ElementsAre("_a", "_b"));
}

TEST(PreTokenizers, FirstMeansTheFirstCharacterOfTheText) {
  const Json sequence = {{"type", "Sequence"},
                         {"pretokenizers",
                          {{{"type", "WhitespaceSplit"}},
                           {{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", "first"}}}}};
  EXPECT_THAT(pieces(sequence, "he lo"), ElementsAre("_he", "lo"));
  EXPECT_THAT(pieces(sequence, " he lo"), ElementsAre("he", "lo"));
}

TEST(PreTokenizers, DigitsAndPunctuation) {
  EXPECT_THAT(pieces({{"type", "Digits"}, {"individual_digits", false}},
                     "a12\xC2\xBD"
                     "b"),
              ElementsAre("a", "12\xC2\xBD", "b"));
  EXPECT_THAT(pieces({{"type", "Digits"}, {"individual_digits", true}}, "a12"), ElementsAre("a", "1", "2"));
  EXPECT_THAT(pieces({{"type", "Punctuation"}}, "a$b.c\xE3\x80\x81"),
              ElementsAre("a", "$", "b", ".", "c", "\xE3\x80\x81"));
  EXPECT_THAT(pieces({{"type", "Punctuation"}, {"behavior", "Removed"}}, "a.b"), ElementsAre("a", "b"));
}

TEST(PreTokenizers, Words) {
  EXPECT_THAT(pieces({{"type", "Whitespace"}}, "a_b\xE2\x80\x8D !? \xC2\xBD"),
              ElementsAre("a_b\xE2\x80\x8D", "!?", "\xC2\xBD"));
  EXPECT_THAT(pieces({{"type", "WhitespaceSplit"}},
                     " a!\xC2\xA0"
                     "b "),
              ElementsAre("a!", "b"));
  EXPECT_THAT(pieces({{"type", "BertPreTokenizer"}}, "Hey, you!"), ElementsAre("Hey", ",", "you", "!"));
  EXPECT_THAT(pieces({{"type", "CharDelimiterSplit"}, {"delimiter", "x"}}, "axxb"), ElementsAre("a", "b"));
  EXPECT_THAT(pieces({{"type", "FixedLength"}, {"length", 2}},
                     "ab\xC3\xA9"
                     "de"),
              ElementsAre("ab",
                          "\xC3\xA9"
                          "d",
                          "e"));
}

TEST(PreTokenizers, UnicodeScripts) {
  // Kana and the prolonged sound mark belong to Han, spaces to what stands before them; the leading ones
  // vanish.
  EXPECT_THAT(pieces({{"type", "UnicodeScripts"}}, "  Hi \xE3\x83\x8A\xE3\x83\xBC\xE4\xB8\x96! ab"),
              ElementsAre("Hi ", "\xE3\x83\x8A\xE3\x83\xBC\xE4\xB8\x96", "! ", "ab"));
}

TEST(PreTokenizers, WordStarts) {
  const std::string s("\xE2\x96\x81");
  PreTokenizedText text{s + "a" + s + s + "b" + s, {}, true};
  text.pieces = {{0, text.text.size()}};
  make_word_start_split()->apply(text);
  std::vector<std::string> result;
  for (const Span& span : text.pieces) result.emplace_back(text.piece(span));
  EXPECT_THAT(result, ElementsAre(s + "a", s + s + "b", s));
}

TEST(PreTokenizers, FaultsAreErrors) {
  expect_error(Code::kUnsupported, "unknown stage", [] { make_pre_tokenizer({{"type", "Magic"}}); });
  expect_error(Code::kCorruptData, "field=behavior", [] { make_pre_tokenizer(split("-", "Sometimes")); });
  expect_error(Code::kCorruptData, "field=pretokenizers", [] { make_pre_tokenizer({{"type", "Sequence"}}); });
  expect_error(Code::kCorruptData, "field=length", [] {
    make_pre_tokenizer({{"type", "FixedLength"}, {"length", 0}});
  });
  expect_error(Code::kCorruptData, "field=delimiter", [] {
    make_pre_tokenizer({{"type", "CharDelimiterSplit"}});
  });
  expect_error(Code::kCorruptData, "field=replacement", [] {
    make_pre_tokenizer({{"type", "Metaspace"}, {"replacement", ""}});
  });
  expect_error(Code::kCorruptData, "field=prepend_scheme", [] {
    make_pre_tokenizer({{"type", "Metaspace"}, {"prepend_scheme", "last"}});
  });
  EXPECT_EQ(make_pre_tokenizer(nullptr), nullptr);
}

}  // namespace
}  // namespace farthing::tokenizer
