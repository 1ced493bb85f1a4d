#include "tokenizer/regex.h"

#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/regex_syntax.h"
#include "tokenizer/test_files.h"

namespace farthing::tokenizer {
namespace {

using testing::ElementsAre;

std::vector<std::string> matches(const std::string& pattern, std::string_view text) {
  std::vector<Span> spans;
  Regex::from_oniguruma(pattern).find_all(text, spans);
  std::vector<std::string> found;
  for (const Span& span : spans) found.emplace_back(text.substr(span.begin, span.size()));
  return found;
}

TEST(Regex, SplitsAsGpt2) {
  EXPECT_THAT(matches(R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
                      "It's 12 \xC3\xA9t\xC3\xA9s,  ok \n"),
              ElementsAre("It", "'s", " 12", " \xC3\xA9t\xC3\xA9s", ",", " ", " ok", " \n"));
}

TEST(Regex, WhiteSpaceIsThatOfUnicode) {
  EXPECT_THAT(matches(R"(\s)", "a\xC2\x85\xE1\xA0\x8E\xE2\x80\xA8\x0B"),
              ElementsAre("\xC2\x85", "\xE2\x80\xA8", "\x0B"));  // not U+180E
  EXPECT_THAT(matches(R"([^\S\n]+)", "a \n\t"), ElementsAre(" ", "\t"));
}

TEST(Regex, WordCharactersAreThoseOfOniguruma) {
  EXPECT_THAT(matches(R"(\w+)", "a_1\xC2\xBD \xE0\xA4\x83\xE2\x85\xA3-"),
              ElementsAre("a_1\xC2\xBD", "\xE0\xA4\x83\xE2\x85\xA3"));
  EXPECT_THAT(matches(R"([\w]+)", "a\xC2\xBD"), ElementsAre("a"));
  EXPECT_THAT(matches(R"([\W_]+)", "a-_b,c"), ElementsAre("-_", ","));
  EXPECT_THAT(matches(R"(\bx)", "x ax \xC2\xBDx"), ElementsAre("x"));
}

TEST(Regex, HexadecimalAndEscapes) {
  EXPECT_THAT(matches(R"(\h+)", "xyzAf09 g"), ElementsAre("Af09"));
  EXPECT_THAT(matches(R"(\u00E9|\x41)", "caf\xC3\xA9 A"), ElementsAre("\xC3\xA9", "A"));
  EXPECT_THAT(matches(R"(\v)", "a\x0B\n"), ElementsAre("\x0B"));
}

TEST(Regex, ClassesNestAndIntersect) {
  EXPECT_THAT(matches("[a-z&&[^aeiou]]+", "quick brown"), ElementsAre("q", "ck", "br", "wn"));
  EXPECT_THAT(matches("[x[a-c]]+", "abxz"), ElementsAre("abx"));
  EXPECT_THAT(matches("[^a[b-d]]+", "abcxd\ny"), ElementsAre("x", "\ny"));
  EXPECT_THAT(matches("[^a-y&&[a-m]]+", "abz"), ElementsAre("z"));
  EXPECT_THAT(matches("[]a]+", "x]a"), ElementsAre("]a"));
  EXPECT_THAT(matches("[[:punct:]]", "a$b.c"), ElementsAre("$", "."));
  EXPECT_THAT(matches(R"(\p{punct})", "a$b.c"), ElementsAre("."));
  EXPECT_THAT(matches("[[:^alpha:]]+", "ab12"), ElementsAre("12"));
}

TEST(Regex, PropertiesByAnyName) {
  EXPECT_THAT(matches(R"(\p{Uppercase_Letter}\p{lowercase letter})", "aBc"), ElementsAre("Bc"));
  EXPECT_THAT(matches(R"(\p{^L}+)", "ab12"), ElementsAre("12"));
  EXPECT_THAT(matches(R"(\P{^N}+)", "ab12"), ElementsAre("12"));
  EXPECT_THAT(matches(R"(\p{han}+)", "a\xE4\xB8\x96\xE3\x80\x81"),
              ElementsAre("\xE4\xB8\x96"));  // no extensions
}

TEST(Regex, RepetitionsOfRepetitions) {
  EXPECT_THAT(matches(R"(\p{N}{1,3}+)", "a1234567"), ElementsAre("1234567"));
  EXPECT_THAT(matches(R"((?:ab){2}+)", "ababababab"), ElementsAre("abababab"));
  EXPECT_THAT(matches("a{,2}b", "aaab"), ElementsAre("aab"));
  EXPECT_THAT(matches("\xC3\xA9{2}", "\xC3\xA9\xC3\xA9"), ElementsAre("\xC3\xA9\xC3\xA9"));
  EXPECT_THAT(matches("a{x}", "a{x}"), ElementsAre("a{x}"));
  EXPECT_THAT(matches(R"(\s++$|\p{L}++)", "ab  "), ElementsAre("ab", "  "));
}

TEST(Regex, LinesAndOptionsAreThoseOfRuby) {
  EXPECT_THAT(matches("^a$", "a\nb\na"), ElementsAre("a", "a"));
  EXPECT_THAT(matches("a.b", "a\nb"), ElementsAre());
  EXPECT_THAT(matches("(?m:a.b)", "a\nb"), ElementsAre("a\nb"));
  EXPECT_THAT(matches("(?i:'s|'LL)", "'S '\xC5\xBF 'll"), ElementsAre("'S", "'\xC5\xBF", "'ll"));
}

TEST(Regex, EmptyMatchesDoNotFollowAnother) {
  std::vector<Span> spans;
  Regex::from_oniguruma("x*").find_all("axb", spans);
  EXPECT_THAT(spans, ElementsAre(Span{0, 0}, Span{1, 2}, Span{3, 3}));
  spans.clear();
  Regex::literal("").find_all("\xC3\xA9", spans);
  EXPECT_THAT(spans, ElementsAre(Span{0, 0}, Span{2, 2}));
}

TEST(Regex, LiteralsAreTakenAsTheyAre) {
  std::vector<Span> spans;
  Regex::literal("a.[b]|\\d$").find_all("xa.[b]|\\d$x", spans);
  EXPECT_THAT(spans, ElementsAre(Span{1, 10}));
}

TEST(Regex, FaultsAreErrors) {
  expect_error(Code::kUnsupported, "cannot compile", [] { Regex::from_oniguruma("(a"); });
  expect_error(Code::kUnsupported, "cannot compile", [] { Regex::from_oniguruma("[a"); });
  expect_error(Code::kUnsupported, "cannot compile", [] { Regex::from_oniguruma(R"(\p{NoSuchThing})"); });
  expect_error(Code::kUnsupported, "nested too deeply",
               [] { Regex::from_oniguruma(std::string(1000, '[')); });
  for (const char* pattern :
       {"\\", "[\\", "\\p{", "\\p", "[[:", "{", "a{", "(?", "(?i", "[^", "&&", "\\u12", ")"}) {
    try {
      Regex::from_oniguruma(pattern);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kUnsupported) << pattern;
    }
  }
}

TEST(Regex, HopelessSearchesEnd) {
  const Regex regex = Regex::from_oniguruma("(?:a|aa)+[^a]");
  std::vector<Span> spans;
  expect_error(Code::kUnsupported, "too much work", [&] { regex.find_all(std::string(60, 'a'), spans); });
}

TEST(Regex, LongRunsAreFine) {
  const std::string spaces(1 << 20, ' ');
  EXPECT_EQ(matches(R"(\s*[\r\n]+|\s+(?!\S)|\s+)", spaces + "x").size(), 2u);
  EXPECT_EQ(matches(R"((?:ab|cd)+)",
                    [] {
                      std::string text;
                      for (int i = 0; i < 100000; ++i) text += "ab";
                      return text;
                    }())
                .size(),
            1u);
}

TEST(Regex, ThreadsShareOnePattern) {
  const Regex regex = Regex::from_oniguruma(R"(\p{L}+|\s+)");
  std::vector<std::thread> threads;
  std::vector<std::size_t> counts(4);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 200; ++round) {
        std::vector<Span> spans;
        regex.find_all("one two three", spans);
        counts[i] += spans.size();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(counts, testing::Each(1000u));
}

}  // namespace
}  // namespace farthing::tokenizer
