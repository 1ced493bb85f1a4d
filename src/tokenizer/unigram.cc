#include "tokenizer/unigram.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "tokenizer/unicode.h"

namespace farthing::tokenizer {

namespace {

// How much worse than the least likely token an unknown character is.
constexpr double kUnknownPenalty = 10.0;

/// The best way to cut the text up to some place.
struct BestPath {
  double score = 0;
  std::size_t begin = 0;  // of its last token
  std::int32_t id = -1;
  bool reached = false;
};

}  // namespace

Unigram::Unigram(Vocabulary vocabulary, std::vector<double> scores, UnigramOptions options)
    : Model(std::move(vocabulary)), scores_(std::move(scores)), options_(std::move(options)) {
  const Vocabulary& tokens = this->vocabulary();
  FARTHING_REQUIRE(scores_.size() == static_cast<std::size_t>(tokens.id_limit()) && !scores_.empty(),
                   Code::kCorruptData, "a unigram vocabulary needs one score for each token",
                   {{"tokens", tokens.id_limit()}, {"scores", scores_.size()}});
  FARTHING_REQUIRE(!options_.unk_id || (*options_.unk_id >= 0 && *options_.unk_id < tokens.id_limit()),
                   Code::kCorruptData, "unk_id is outside the vocabulary",
                   {{"unk_id", options_.unk_id.value_or(0)}, {"tokens", tokens.id_limit()}});
  double lowest = scores_[0];
  for (std::size_t id = 0; id < scores_.size(); ++id) {
    FARTHING_REQUIRE(std::isfinite(scores_[id]), Code::kCorruptData,
                     "a score of the vocabulary is not finite", {{"id", id}});
    lowest = std::min(lowest, scores_[id]);
    const auto token = tokens.token(static_cast<std::int32_t>(id));
    const bool is_unused = id < options_.unused.size() && options_.unused[id];
    if (token && !token->empty() && !is_unused) trie_.insert(*token, tokens.id(*token).value());
  }
  unknown_score_ = lowest - kUnknownPenalty;
}

void Unigram::append_token(std::string_view token, std::vector<std::int32_t>& ids) const {
  if (const auto id = vocabulary().id(token)) return ids.push_back(*id);
  if (options_.byte_fallback) {
    const std::size_t size = ids.size();
    for (const char byte : token) {
      const auto id = vocabulary().id(fmt::format("<0x{:02X}>", static_cast<unsigned char>(byte)));
      if (!id) break;
      ids.push_back(*id);
    }
    if (ids.size() == size + token.size()) return;
    ids.resize(size);
  }
  FARTHING_REQUIRE(options_.unk_id.has_value(), Code::kUnsupported,
                   "the text has a character that the vocabulary lacks, and there is no unknown token",
                   {{"text", token}});
  ids.push_back(*options_.unk_id);
}

void Unigram::tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const {
  std::vector<BestPath> best(piece.size() + 1);
  best[0].reached = true;
  const auto offer = [&](std::size_t begin, std::size_t end, std::int32_t id, double score) {
    double total = best[begin].score + score;
    if (options_.single_precision) total = static_cast<float>(total);
    if (!best[end].reached || total > best[end].score) best[end] = {total, begin, id, true};
  };
  for (std::size_t begin = 0; begin < piece.size();) {
    const std::size_t next = begin + code_point_at(piece, begin).length;
    bool has_single_character = false;
    std::int32_t node = Trie::kRoot;
    for (std::size_t end = begin; end < piece.size();) {
      node = trie_.step(node, static_cast<unsigned char>(piece[end++]));
      if (node == Trie::kNone) break;
      const std::int32_t id = trie_.value(node);
      if (id == Trie::kNone) continue;
      offer(begin, end, id, scores_[static_cast<std::size_t>(id)]);
      if (end == next) has_single_character = true;
    }
    if (!has_single_character) offer(begin, next, options_.unk_id.value_or(-1), unknown_score_);
    begin = next;
  }

  std::vector<std::string_view> tokens;  // from right to left; a run of unknown characters is one
  bool in_unknown = false;
  for (std::size_t end = piece.size(); end > 0;) {
    const BestPath& path = best[end];
    const bool unknown = path.id == options_.unk_id.value_or(-1);
    if (unknown && in_unknown) {
      tokens.back() = piece.substr(path.begin, tokens.back().size() + end - path.begin);
    } else {
      tokens.push_back(piece.substr(path.begin, end - path.begin));
    }
    in_unknown = unknown;
    end = path.begin;
  }
  for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) append_token(*token, ids);
}

}  // namespace farthing::tokenizer
