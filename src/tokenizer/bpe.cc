#include "tokenizer/bpe.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "tokenizer/stage_description.h"
#include "tokenizer/unicode.h"

namespace farthing::tokenizer {

/// A token of a piece under way; merging unlinks its right neighbour.
struct Bpe::Symbol {
  std::int32_t id;
  std::int32_t previous;  // index of the neighbour, or -1
  std::int32_t next;
  bool alive;
};

/// A merge that could be made at the symbol with index `position`, unless a neighbour changed in the
/// meantime.
struct Bpe::Candidate {
  std::int32_t rank;
  std::int32_t position;
  std::int32_t left, right, result;

  /// Orders a heap so that the lowest rank, then the leftmost position comes out first.
  bool operator<(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

MergeTable::MergeTable(std::size_t expected) {
  std::size_t size = 64;
  while (size < expected * 2) size *= 2;
  slots_.resize(size);
}

std::size_t MergeTable::find_slot(std::int32_t left, std::int32_t right) const {
  const std::uint64_t key = static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = static_cast<std::size_t>(key * 0x9E3779B97F4A7C15u >> 32) & mask;
  while (slots_[slot].left >= 0 && (slots_[slot].left != left || slots_[slot].right != right))
    slot = (slot + 1) & mask;
  return slot;
}

void MergeTable::insert(const RankedMerge& merge) {
  FARTHING_CHECK(count_ * 2 < slots_.size());
  Slot& slot = slots_[find_slot(merge.left, merge.right)];
  if (slot.left < 0) ++count_;
  slot = {merge.left, merge.right, {merge.rank, merge.result}};
}

MergeTable::Merge MergeTable::find(std::int32_t left, std::int32_t right) const {
  return slots_[find_slot(left, right)].merge;
}

Bpe::Bpe(Vocabulary vocabulary, const std::vector<RankedMerge>& merges, BpeOptions options)
    : Model(std::move(vocabulary)), options_(std::move(options)), merges_(merges.size()) {
  for (const RankedMerge& merge : merges) merges_.insert(merge);
  if (options_.unk_token) unk_id_ = this->vocabulary().id(*options_.unk_token).value_or(-1);
  for (std::size_t byte = 0; byte < byte_ids_.size(); ++byte) {
    byte_ids_[byte] = this->vocabulary().id(fmt::format("<0x{:02X}>", byte)).value_or(-1);
  }
  for (std::size_t c = 0; c < character_ids_.size(); ++c) {
    character_ids_[c] = this->vocabulary().id(to_utf8(static_cast<char32_t>(c))).value_or(-1);
  }
  // Words are independent when no merge glues something to the U+2581 that begins the next one, and when it
  // is known, so that it ends a run of unknown characters.
  separable_ = this->vocabulary().id(kMetaspace).has_value() && !options_.ignore_merges &&
               options_.continuing_subword_prefix.empty() && options_.end_of_word_suffix.empty();
  for (const RankedMerge& merge : merges) {
    if (!separable_) break;
    const std::string_view left = this->vocabulary().token(merge.left).value_or("");
    const std::string_view right = this->vocabulary().token(merge.right).value_or("");
    if (right.starts_with(kMetaspace) && !left.ends_with(kMetaspace)) separable_ = false;
  }
}

std::optional<std::int32_t> Bpe::character_id(std::string_view character) const {
  if (character.size() <= 2) {
    const char32_t code_point = code_point_at(character, 0).value;
    if (code_point < character_ids_.size()) {
      const std::int32_t id = character_ids_[code_point];
      return id < 0 ? std::nullopt : std::optional(id);
    }
  }
  return vocabulary().id(character);
}

bool Bpe::append_bytes(std::string_view character, std::vector<Symbol>& symbols) const {
  for (const char byte : character) {
    if (byte_ids_[static_cast<unsigned char>(byte)] < 0) return false;
  }
  for (const char byte : character)
    symbols.push_back({byte_ids_[static_cast<unsigned char>(byte)], 0, 0, true});
  return true;
}

void Bpe::append_symbols(std::string_view piece, std::vector<Symbol>& symbols) const {
  const bool decorated = !options_.continuing_subword_prefix.empty() || !options_.end_of_word_suffix.empty();
  bool pending_unk = false;
  for (std::size_t i = 0; i < piece.size();) {
    const std::size_t next = i + code_point_at(piece, i).length;
    std::string_view character = piece.substr(i, next - i);
    std::string spelling;
    if (decorated) {
      if (i > 0) spelling += options_.continuing_subword_prefix;
      spelling += character;
      if (next == piece.size()) spelling += options_.end_of_word_suffix;
      character = spelling;
    }
    i = next;
    if (const auto id = decorated ? vocabulary().id(character) : character_id(character)) {
      if (std::exchange(pending_unk, false)) symbols.push_back({unk_id_, 0, 0, true});
      symbols.push_back({*id, 0, 0, true});
    } else if (options_.byte_fallback && append_bytes(character, symbols)) {
      // Nothing more to do; a pending unknown token comes after the bytes, as in the original.
    } else if (options_.unk_token) {
      FARTHING_REQUIRE(
          unk_id_ >= 0, Code::kUnsupported,
          "the text has a character that the vocabulary lacks, and the vocabulary lacks the unknown token",
          {{"character", character}, {"unk_token", *options_.unk_token}});
      if (pending_unk && !options_.fuse_unk) symbols.push_back({unk_id_, 0, 0, true});
      pending_unk = true;
    }
  }
  if (pending_unk) symbols.push_back({unk_id_, 0, 0, true});
}

void Bpe::merge(std::vector<Symbol>& symbols) const {
  const auto count = static_cast<std::int32_t>(symbols.size());
  std::vector<Candidate> heap;
  heap.reserve(symbols.size());
  const auto consider = [&](std::int32_t position) {
    const Symbol& left = symbols[static_cast<std::size_t>(position)];
    const Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    const MergeTable::Merge merge = merges_.find(left.id, right.id);
    if (merge.rank >= 0) heap.push_back({merge.rank, position, left.id, right.id, merge.result});
    return merge.rank >= 0;
  };
  for (std::int32_t i = 0; i < count; ++i) {
    symbols[static_cast<std::size_t>(i)].previous = i - 1;
    symbols[static_cast<std::size_t>(i)].next = i + 1 < count ? i + 1 : -1;
    if (i > 0) consider(i - 1);
  }
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    const Candidate best = heap.back();
    heap.pop_back();
    Symbol& left = symbols[static_cast<std::size_t>(best.position)];
    if (!left.alive || left.id != best.left || left.next < 0) continue;
    Symbol& right = symbols[static_cast<std::size_t>(left.next)];
    if (right.id != best.right) continue;
    left.id = best.result;
    right.alive = false;
    left.next = right.next;
    if (left.next >= 0) {
      symbols[static_cast<std::size_t>(left.next)].previous = best.position;
      if (consider(best.position)) std::push_heap(heap.begin(), heap.end());
    }
    if (left.previous >= 0 && consider(left.previous)) std::push_heap(heap.begin(), heap.end());
  }
}

void Bpe::tokenize(std::string_view piece, std::vector<std::int32_t>& ids) const {
  if (options_.ignore_merges) {
    if (const auto id = vocabulary().id(piece)) return ids.push_back(*id);
  }
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  append_symbols(piece, symbols);
  FARTHING_REQUIRE(symbols.size() < INT32_MAX, Code::kUnsupported,
                   "text too long for one piece of a tokenizer", {{"bytes", piece.size()}});
  if (symbols.size() > 1) merge(symbols);
  for (const Symbol& symbol : symbols) {
    if (symbol.alive) ids.push_back(symbol.id);
  }
}

std::vector<RankedMerge> resolve_merges(const MergeList& merges, const Vocabulary& vocabulary,
                                        std::string_view prefix) {
  std::vector<RankedMerge> resolved;
  resolved.reserve(merges.size());
  std::string joined;
  merges.for_each([&](std::size_t index, const MergeList::Merge& merge) {
    const auto left = vocabulary.id(merge.left);
    const auto right = vocabulary.id(merge.right);
    joined = merge.left;
    joined += merge.right.substr(std::min(prefix.size(), merge.right.size()));
    const auto result = vocabulary.id(joined);
    FARTHING_REQUIRE(left && right && result, Code::kCorruptData,
                     "a merge names a token that is not in the vocabulary",
                     {{"merge", index}, {"left", merge.left}, {"right", merge.right}, {"result", joined}});
    resolved.push_back({*left, *right, *result, static_cast<std::int32_t>(index)});
  });
  return resolved;
}

std::vector<RankedMerge> derive_merges(const Vocabulary& vocabulary,
                                       const std::vector<std::int32_t>& rank_of_id) {
  std::vector<RankedMerge> merges;
  for (std::int32_t id = 0; id < vocabulary.id_limit(); ++id) {
    const auto token = vocabulary.token(id);
    const std::int32_t rank = rank_of_id[static_cast<std::size_t>(id)];
    if (!token || rank < 0) continue;
    for (std::size_t cut = 1; cut < token->size(); ++cut) {
      if (is_continuation_byte((*token)[cut])) continue;
      const auto left = vocabulary.id(token->substr(0, cut));
      if (!left) continue;
      const auto right = vocabulary.id(token->substr(cut));
      if (right) merges.push_back({*left, *right, id, rank});
    }
  }
  return merges;
}

}  // namespace farthing::tokenizer
