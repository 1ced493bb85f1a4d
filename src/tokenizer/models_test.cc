#include <random>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tokenizer/bpe.h"
#include "tokenizer/test_files.h"
#include "tokenizer/trie.h"
#include "tokenizer/unigram.h"
#include "tokenizer/word_models.h"

namespace farthing::tokenizer {
namespace {

using testing::ElementsAre;

Vocabulary vocabulary_of(const std::vector<std::string>& tokens) {
  Vocabulary vocabulary;
  for (const std::string& token : tokens)
    vocabulary.insert(token, static_cast<std::int64_t>(vocabulary.size()));
  return vocabulary;
}

std::vector<std::string> tokens(const Model& model, std::string_view piece) {
  Ids ids;
  model.tokenize(piece, ids);
  std::vector<std::string> result;
  for (const std::int32_t id : ids) result.emplace_back(model.vocabulary().token(id).value());
  return result;
}

MergeList merge_list(const std::vector<std::string>& lines) {
  MergeList list;
  for (const std::string& line : lines) list.add(split_merge(line).left, split_merge(line).right);
  return list;
}

Bpe make_bpe(const std::vector<std::string>& vocab, const std::vector<std::string>& merges,
             BpeOptions options = {}) {
  Vocabulary vocabulary = vocabulary_of(vocab);
  const auto resolved = resolve_merges(merge_list(merges), vocabulary, options.continuing_subword_prefix);
  return Bpe(std::move(vocabulary), resolved, std::move(options));
}

TEST(Vocabulary, MapsBothWays) {
  Vocabulary vocabulary;
  for (int i = 0; i < 1000; ++i) vocabulary.insert(fmt::format("token{}", i), i * 2);
  EXPECT_EQ(vocabulary.id("token7"), 14);
  EXPECT_EQ(vocabulary.token(14), "token7");
  EXPECT_EQ(vocabulary.id("nothing"), std::nullopt);
  EXPECT_EQ(vocabulary.token(15), std::nullopt);
  EXPECT_EQ(vocabulary.token(-1), std::nullopt);
  EXPECT_EQ(vocabulary.id_limit(), 1999);
  vocabulary.insert("token7", 5000);
  EXPECT_EQ(vocabulary.id("token7"), 5000);
  EXPECT_EQ(vocabulary.size(), 1000u);
  EXPECT_EQ(Vocabulary().id("x"), std::nullopt);
  expect_error(Code::kCorruptData, "out of range", [&] { vocabulary.insert("x", -1); });
  expect_error(Code::kCorruptData, "out of range", [&] { vocabulary.insert("x", std::int64_t{1} << 40); });
}

TEST(Trie, WalksItsKeys) {
  Trie trie;
  trie.insert("ab", 1);
  trie.insert("abc", 2);
  std::int32_t node = trie.step(Trie::kRoot, 'a');
  EXPECT_EQ(trie.value(node), Trie::kNone);
  node = trie.step(node, 'b');
  EXPECT_EQ(trie.value(node), 1);
  EXPECT_EQ(trie.value(trie.step(node, 'c')), 2);
  EXPECT_EQ(trie.step(node, 'd'), Trie::kNone);
}

TEST(Bpe, MergesTheLowestRankFirstAndTheLeftmostOnTies) {
  const Bpe bpe = make_bpe({"a", "b", "c", "ab", "bc", "abc", "aa"}, {"b c", "a b", "a bc", "a a"});
  EXPECT_THAT(tokens(bpe, "abc"), ElementsAre("abc"));
  EXPECT_THAT(tokens(bpe, "abab"), ElementsAre("ab", "ab"));
  EXPECT_THAT(tokens(bpe, "aaa"), ElementsAre("aa", "a"));
  EXPECT_THAT(tokens(bpe, "axb"), ElementsAre("ab"));  // unknown and without a token for it: dropped
}

TEST(Bpe, UnknownCharacters) {
  BpeOptions options;
  options.unk_token = "?";
  EXPECT_THAT(tokens(make_bpe({"?", "a"}, {}, options), "xxax"), ElementsAre("?", "?", "a", "?"));
  options.fuse_unk = true;
  EXPECT_THAT(tokens(make_bpe({"?", "a"}, {}, options), "xxax"), ElementsAre("?", "a", "?"));
  options.unk_token = "missing";
  expect_error(Code::kUnsupported, "unknown token", [&] { tokens(make_bpe({"a"}, {}, options), "x"); });
}

TEST(Bpe, ByteFallbackNeedsAllBytes) {
  BpeOptions options;
  options.unk_token = "?";
  options.byte_fallback = true;
  EXPECT_THAT(tokens(make_bpe({"?", "a", "<0xC3>", "<0xA9>"}, {}, options), "a\xC3\xA9\xC3\xA8"),
              ElementsAre("a", "<0xC3>", "<0xA9>", "?"));
}

TEST(Bpe, PrefixAndSuffix) {
  BpeOptions options;
  options.continuing_subword_prefix = "##";
  options.end_of_word_suffix = "</w>";
  const Bpe bpe =
      make_bpe({"a", "##b", "##c</w>", "ab", "a</w>", "abc</w>"}, {"a ##b", "ab ##c</w>"}, options);
  EXPECT_THAT(tokens(bpe, "abc"), ElementsAre("abc</w>"));
  EXPECT_THAT(tokens(bpe, "a"), ElementsAre("a</w>"));
}

TEST(Bpe, IgnoreMerges) {
  BpeOptions options;
  EXPECT_THAT(tokens(make_bpe({"a", "b", "ab"}, {}, options), "ab"), ElementsAre("a", "b"));
  options.ignore_merges = true;
  EXPECT_THAT(tokens(make_bpe({"a", "b", "ab"}, {}, options), "ab"), ElementsAre("ab"));
}

TEST(Bpe, KnowsWhenWordsAreIndependent) {
  const std::string s("\xE2\x96\x81");
  EXPECT_TRUE(make_bpe({s, "a", s + "a", s + s}, {s + " a", s + " " + s}).separable_at_word_starts());
  EXPECT_FALSE(make_bpe({s, "a", "a" + s}, {"a " + s}).separable_at_word_starts());
  EXPECT_FALSE(make_bpe({"a"}, {}).separable_at_word_starts());
}

TEST(Bpe, MergesMustFitTheVocabulary) {
  expect_error(Code::kCorruptData, "not in the vocabulary", [] { make_bpe({"a", "b"}, {"a b"}); });
  expect_error(Code::kCorruptData, "not in the vocabulary", [] { make_bpe({"a", "ab"}, {"a b"}); });
  expect_error(Code::kCorruptData, "two tokens", [] { split_merge("a"); });
  expect_error(Code::kCorruptData, "two tokens", [] { split_merge("a b c"); });
  expect_error(Code::kCorruptData, "two tokens", [] { split_merge(" a"); });
}

/// The definition: look through all pairs again for every merge.
std::vector<std::string> merge_slowly(const std::vector<std::string>& merges, std::string_view word) {
  std::vector<std::string> symbols;
  for (const char c : word) symbols.emplace_back(1, c);
  while (true) {
    std::size_t best_rank = merges.size();
    std::size_t best = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = std::find(merges.begin(), merges.end(), symbols[i] + " " + symbols[i + 1]);
      const auto rank = static_cast<std::size_t>(found - merges.begin());
      if (rank < best_rank) {
        best_rank = rank;
        best = i;
      }
    }
    if (best_rank == merges.size()) return symbols;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

TEST(Bpe, AgreesWithItsDefinition) {
  std::mt19937 random(7);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::string> vocab = {"a", "b", "c"};
    std::vector<std::string> merges;
    while (merges.size() < 25) {
      const std::string left = vocab[random() % vocab.size()];
      const std::string right = vocab[random() % vocab.size()];
      if (std::find(vocab.begin(), vocab.end(), left + right) == vocab.end()) vocab.push_back(left + right);
      const std::string merge = fmt::format("{} {}", left, right);
      if (std::find(merges.begin(), merges.end(), merge) == merges.end()) merges.push_back(merge);
    }
    const Bpe bpe = make_bpe(vocab, merges);
    for (int text = 0; text < 20; ++text) {
      std::string word;
      for (std::size_t i = random() % 40 + 1; i > 0; --i) word += static_cast<char>('a' + random() % 3);
      ASSERT_EQ(tokens(bpe, word), merge_slowly(merges, word)) << word;
    }
  }
}

TEST(Bpe, LongPiecesTakeLittleTime) {
  const Bpe bpe = make_bpe({"a", "aa", "aaaa", "aaaaaaaa"}, {"a a", "aa aa", "aaaa aaaa"});
  Ids ids;
  bpe.tokenize(std::string(1 << 20, 'a'), ids);
  EXPECT_EQ(ids.size(), 1u << 17);
}

TEST(Bpe, DerivesMergesFromRanks) {
  const Vocabulary vocabulary = vocabulary_of({"a", "b", "ab", "aab", "\xC3\xA9", "a\xC3\xA9"});
  const auto merges = derive_merges(vocabulary, {-1, -1, 0, 1, -1, 2});
  ASSERT_EQ(merges.size(), 3u);  // a+b, a+ab, a+e-acute; aa is no token
  EXPECT_EQ(merges[1].left, 0);
  EXPECT_EQ(merges[1].right, 2);
  EXPECT_EQ(merges[1].result, 3);
  EXPECT_EQ(merges[1].rank, 1);
}

Unigram make_unigram(const std::vector<std::pair<std::string, double>>& pieces, UnigramOptions options = {}) {
  std::vector<std::string> vocab;
  std::vector<double> scores;
  for (const auto& [piece, score] : pieces) {
    vocab.push_back(piece);
    scores.push_back(score);
  }
  return Unigram(vocabulary_of(vocab), scores, std::move(options));
}

TEST(Unigram, TakesTheMostLikelyCut) {
  UnigramOptions options;
  options.unk_id = 0;
  const Unigram model = make_unigram(
      {{"<unk>", 0}, {"a", -1}, {"b", -1}, {"ab", -3}, {"abc", -2}, {"c", -2}, {"bc", -2}}, options);
  EXPECT_THAT(tokens(model, "ab"), ElementsAre("a", "b"));
  EXPECT_THAT(tokens(model, "abc"), ElementsAre("abc"));
  EXPECT_THAT(tokens(model, "bc"), ElementsAre("bc"));
  EXPECT_THAT(tokens(model, "axyb"), ElementsAre("a", "<unk>", "b"));  // a run of unknowns is one
}

TEST(Unigram, FirstFoundWinsTies) {
  const Unigram model = make_unigram({{"a", -1}, {"aa", -2}});
  EXPECT_THAT(tokens(model, "aa"), ElementsAre("aa"));
}

TEST(Unigram, ByteFallbackAndMissingUnknown) {
  UnigramOptions options;
  options.unk_id = 0;
  options.byte_fallback = true;
  const Unigram model = make_unigram({{"<unk>", 0}, {"a", -1}, {"<0xC3>", 0}, {"<0xA9>", 0}}, options);
  EXPECT_THAT(tokens(model, "a\xC3\xA9"), ElementsAre("a", "<0xC3>", "<0xA9>"));
  EXPECT_THAT(tokens(model, "a\xC3\xA8"), ElementsAre("a", "<unk>"));
  expect_error(Code::kUnsupported, "no unknown token", [] { tokens(make_unigram({{"a", -1}}), "b"); });
}

TEST(Unigram, UnusedTokensNeverComeOut) {
  UnigramOptions options;
  options.unused = {false, false, true};
  EXPECT_THAT(tokens(make_unigram({{"a", -1}, {"b", -1}, {"ab", 0}}, options), "ab"), ElementsAre("a", "b"));
}

TEST(Unigram, TablesMustFit) {
  expect_error(Code::kCorruptData, "one score", [] { Unigram(vocabulary_of({"a", "b"}), {0.0}, {}); });
  expect_error(Code::kCorruptData, "not finite", [] { Unigram(vocabulary_of({"a"}), {NAN}, {}); });
  UnigramOptions options;
  options.unk_id = 9;
  expect_error(Code::kCorruptData, "unk_id", [&] { make_unigram({{"a", 0}}, options); });
}

TEST(WordPiece, TakesTheLongestPrefixes) {
  const WordPiece model(vocabulary_of({"[UNK]", "un", "##aff", "##able", "##ab", "a"}), "[UNK]", "##", 10);
  EXPECT_THAT(tokens(model, "unaffable"), ElementsAre("un", "##aff", "##able"));
  EXPECT_THAT(tokens(model, "unaffx"), ElementsAre("[UNK]"));
  EXPECT_THAT(tokens(model, "unaffableable"), ElementsAre("[UNK]"));  // longer than ten characters
  const WordPiece without(vocabulary_of({"a"}), "[UNK]", "##", 10);
  expect_error(Code::kUnsupported, "no unknown token", [&] { tokens(without, "b"); });
}

TEST(WordLevel, LooksUpWholePieces) {
  const WordLevel model(vocabulary_of({"<unk>", "hello"}), "<unk>");
  EXPECT_THAT(tokens(model, "hello"), ElementsAre("hello"));
  EXPECT_THAT(tokens(model, "hell"), ElementsAre("<unk>"));
}

}  // namespace
}  // namespace farthing::tokenizer
