// The two-way table between tokens and ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace farthing::tokenizer {

/// A hash table of strings in one arena: a vocabulary of 128 thousand tokens is read in a few milliseconds.
class Vocabulary {
 public:
  /// No real vocabulary comes near this; an id beyond it is a damaged file, not a reason to allocate.
  static constexpr std::int64_t kMaxId = (1 << 22) - 1;

  /// Adds a token. A token that is there already takes the new id; an id that is taken shows the new token.
  /// Throws kCorruptData when `id` is negative or above kMaxId.
  void insert(std::string_view token, std::int64_t id);

  std::optional<std::int32_t> id(std::string_view token) const;

  /// The token of `id`; nothing when there is none.
  std::optional<std::string_view> token(std::int32_t id) const;

  /// The number of distinct tokens, and the highest id plus one.
  std::size_t size() const { return entries_.size(); }
  std::int32_t id_limit() const { return static_cast<std::int32_t>(entry_of_id_.size()); }

 private:
  struct Entry {
    std::uint32_t hash;
    std::uint32_t length;
    std::size_t begin;
    std::int32_t id;
  };
  std::string_view text(const Entry& entry) const { return {arena_.data() + entry.begin, entry.length}; }
  /// The slot that holds `token` or, when it is absent, the empty slot where it belongs.
  std::size_t find_slot(std::string_view token, std::uint32_t hash) const;
  void grow();

  std::string arena_;
  std::vector<Entry> entries_;
  std::vector<std::int32_t> slots_;        // index into entries_, or -1; a power of two, at most half full
  std::vector<std::int32_t> entry_of_id_;  // index into entries_, or -1
};

}  // namespace farthing::tokenizer
