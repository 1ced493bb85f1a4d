#include "tokenizer/added_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/test_files.h"

namespace farthing::tokenizer {
namespace {

using testing::ElementsAre;

AddedToken token(const char* content, std::int32_t id) {
  AddedToken result;
  result.content = content;
  result.id = id;
  result.normalized = false;
  return result;
}

/// The parts as text, tokens in brackets with their id.
std::vector<std::string> parts(AddedTokens tokens, std::string_view text, bool normalized = false,
                               bool parse_special = true) {
  tokens.build(nullptr);
  std::vector<std::string> result;
  for (const AddedTokens::Part& part : tokens.split(text, normalized, parse_special)) {
    const std::string_view piece = text.substr(part.span.begin, part.span.size());
    result.push_back(part.id ? fmt::format("[{}:{}]", *part.id, piece) : std::string(piece));
  }
  return result;
}

TEST(AddedTokens, LeftmostLongestWins) {
  AddedTokens tokens;
  tokens.add(token("<s>", 1));
  tokens.add(token("<s>x", 2));
  tokens.add(token("s>xy", 3));
  EXPECT_THAT(parts(tokens, "a<s>xy<s>"), ElementsAre("a", "[2:<s>x]", "y", "[1:<s>]"));
  EXPECT_THAT(parts(tokens, ""), ElementsAre());
  EXPECT_THAT(parts(tokens, "plain"), ElementsAre("plain"));
}

TEST(AddedTokens, SwallowWhiteSpace) {
  AddedTokens tokens;
  tokens.add(token("<m>", 1));
  AddedToken left = token("<l>", 2);
  left.lstrip = true;
  AddedToken right = token("<r>", 3);
  right.rstrip = true;
  tokens.add(left);
  tokens.add(right);
  EXPECT_THAT(parts(tokens, "a <m> b"), ElementsAre("a ", "[1:<m>]", " b"));
  EXPECT_THAT(parts(tokens, "a \n<l> b"), ElementsAre("a", "[2: \n<l>]", " b"));
  EXPECT_THAT(parts(tokens,
                    "a <r> \xC2\xA0"
                    "b"),
              ElementsAre("a ", "[3:<r> \xC2\xA0]", "b"));
  EXPECT_THAT(parts(tokens, "<m> <l>"), ElementsAre("[1:<m>]", "[2: <l>]"));
  EXPECT_THAT(parts(tokens, "<r> <l>"), ElementsAre("[3:<r> ]", "[2:<l>]"));
}

TEST(AddedTokens, ASwallowedTokenIsGone) {
  AddedTokens tokens;
  AddedToken newline = token("\n", 1);
  newline.lstrip = newline.rstrip = true;
  tokens.add(newline);
  EXPECT_THAT(parts(tokens, "a\n\n\nb"), ElementsAre("a", "[1:\n\n\n]", "b"));
}

TEST(AddedTokens, SingleWords) {
  AddedTokens tokens;
  AddedToken word = token("the", 1);
  word.single_word = true;
  tokens.add(word);
  EXPECT_THAT(parts(tokens, "the lathe, the_ the."), ElementsAre("[1:the]", " lathe, the_ ", "[1:the]", "."));
  EXPECT_THAT(parts(tokens, "\xC3\xA9the"), ElementsAre("\xC3\xA9the"));
}

TEST(AddedTokens, SpecialOnesCanBePlainText) {
  AddedTokens tokens;
  AddedToken special = token("<s>", 1);
  special.special = true;
  tokens.add(special);
  tokens.add(token("s>", 2));
  EXPECT_THAT(parts(tokens, "a<s>", false, true), ElementsAre("a", "[1:<s>]"));
  EXPECT_THAT(parts(tokens, "a<s>", false, false), ElementsAre("a<", "[2:s>]"));
}

TEST(AddedTokens, NormalizedOnesAreFoundInNormalizedText) {
  AddedTokens tokens;
  AddedToken upper = token("ABC", 1);
  upper.normalized = true;
  tokens.add(upper);
  tokens.build(make_normalizer({{"type", "Lowercase"}}).get());
  EXPECT_EQ(tokens.split("xabc", true, true).size(), 2u);
  EXPECT_EQ(tokens.split("xABC", true, true).size(), 1u);
  EXPECT_EQ(tokens.split("xABC", false, true).size(), 1u);
}

TEST(AddedTokens, TheLastDefinitionCounts) {
  AddedTokens tokens;
  tokens.add(token("<a>", 1));
  AddedToken changed = token("<a>", 1);
  changed.special = true;
  tokens.add(changed);
  tokens.add(token("", 5));
  ASSERT_EQ(tokens.tokens().size(), 1u);
  EXPECT_TRUE(tokens.find("<a>")->special);
  EXPECT_EQ(tokens.find(1)->content, "<a>");
  EXPECT_EQ(tokens.find(5), nullptr);
  EXPECT_EQ(tokens.find("<b>"), nullptr);
}

}  // namespace
}  // namespace farthing::tokenizer
