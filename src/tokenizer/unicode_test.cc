#include "tokenizer/unicode.h"

#include <random>

#include <gtest/gtest.h>

namespace farthing::tokenizer {
namespace {

TEST(Unicode, ReadsAndWritesEveryLength) {
  for (const char32_t c :
       {U'\0', U'a', U'\x7F', U'\x80', U'\x7FF', U'\x800', U'\xFFFD', U'\x10000', U'\x10FFFF'}) {
    const std::string text = to_utf8(c);
    EXPECT_EQ(code_point_at(text, 0).value, c);
    EXPECT_EQ(code_point_at(text, 0).length, text.size());
    EXPECT_EQ(code_point_before("x" + text, text.size() + 1).value, c);
    EXPECT_EQ(valid_utf8_prefix(text), text.size());
    EXPECT_EQ(count_code_points(text + text), 2u);
  }
}

TEST(Unicode, ReplacesEachMaximalPartOfABrokenSequence) {
  const std::string r(kReplacementCharacter);
  EXPECT_EQ(to_valid_utf8("a\xFFz"), "a" + r + "z");
  EXPECT_EQ(to_valid_utf8("\xE4\xBD"), r);  // cut short: one part
  EXPECT_EQ(to_valid_utf8("\xE4\xBDz"), r + "z");
  EXPECT_EQ(to_valid_utf8("\xF0\x9F\x98"), r);
  EXPECT_EQ(to_valid_utf8("\xC0\xAF"), r + r);  // overlong
  EXPECT_EQ(to_valid_utf8("\xE0\x80\x80"), r + r + r);
  EXPECT_EQ(to_valid_utf8("\xED\xA0\x80"), r + r + r);          // surrogate
  EXPECT_EQ(to_valid_utf8("\xF4\x90\x80\x80"), r + r + r + r);  // above U+10FFFF
  EXPECT_EQ(to_valid_utf8("\x80"), r);
  EXPECT_EQ(to_valid_utf8("caf\xC3\xA9"), "caf\xC3\xA9");
}

TEST(Unicode, KnowsWhiteSpace) {
  for (const char32_t c :
       {U'\t', U'\v', U'\r', U' ', U'\x85', U'\xA0', U'\x1680', U'\x2003', U'\x2028', U'\x3000'}) {
    EXPECT_TRUE(is_white_space(c)) << static_cast<unsigned>(c);
  }
  for (const char32_t c : {U'a', U'\x1C', U'\x180E', U'\x200B', U'\xFEFF'}) {
    EXPECT_FALSE(is_white_space(c)) << static_cast<unsigned>(c);
  }
}

TEST(Unicode, KnowsCategories) {
  EXPECT_TRUE(is_numeric(U'7') && is_numeric(0xBD) && is_numeric(0x2163) && is_numeric(0x0664));
  EXPECT_FALSE(is_numeric(U'a') || is_numeric(0x4E00));
  EXPECT_TRUE(is_punctuation(U'$') && is_punctuation(U'`') && is_punctuation(0x3001));
  EXPECT_FALSE(is_punctuation(0x20AC) || is_punctuation(U' '));
  EXPECT_TRUE(is_mark(0x0301) && is_mark(0x0903) && is_nonspacing_mark(0x0301));
  EXPECT_FALSE(is_nonspacing_mark(0x0903));
  EXPECT_TRUE(is_other(0x01) && is_other(0x200B) && is_other(0xE000));
  EXPECT_FALSE(is_other(0x0378) || is_other(U'a'));
}

TEST(Unicode, LowercasesWithoutContext) {
  std::string text;
  for (const char32_t c : {char32_t{0x130}, char32_t{0x3A3}, char32_t{0x1E9E}, U'Q', U'1'})
    append_lowercase(text, c);
  EXPECT_EQ(text, "i\xCC\x87\xCF\x83\xC3\x9Fq1");
}

TEST(Unicode, Normalizes) {
  EXPECT_EQ(normalize("cafe\xCC\x81!", NormalizationForm::kNfc), "caf\xC3\xA9!");
  EXPECT_EQ(normalize("caf\xC3\xA9!", NormalizationForm::kNfd), "cafe\xCC\x81!");
  EXPECT_EQ(normalize("\xEF\xAC\x81x\xC2\xBD", NormalizationForm::kNfkc),
            "fix1\xE2\x81\x84"
            "2");
  EXPECT_EQ(normalize("\xEF\xB7\xBA", NormalizationForm::kNfkd).size(),
            33u);  // one character becomes eighteen
  EXPECT_EQ(normalize("plain", NormalizationForm::kNfkc), "plain");
  EXPECT_EQ(normalize("", NormalizationForm::kNfc), "");
}

TEST(Unicode, FindsGraphemes) {
  EXPECT_EQ(grapheme_length("e\xCC\x81x"), 3u);
  EXPECT_EQ(grapheme_length("ab"), 1u);
  EXPECT_EQ(grapheme_length("\r\nx"), 2u);
  // A family of three people joined by zero-width joiners.
  EXPECT_EQ(grapheme_length("\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7!"),
            18u);
}

TEST(Unicode, AnyBytesBecomeValid) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 12, '\0');
    for (char& byte : bytes) byte = static_cast<char>(random() % 4 == 0 ? random() : 0x80 | random() % 0x80);
    const std::string text = to_valid_utf8(bytes);
    ASSERT_EQ(valid_utf8_prefix(text), text.size());
    for (const auto form : {NormalizationForm::kNfc, NormalizationForm::kNfkd}) {
      const std::string normalized = normalize(text, form);
      ASSERT_EQ(normalize(normalized, form), normalized);
    }
  }
}

}  // namespace
}  // namespace farthing::tokenizer
