// A set of strings that is walked byte by byte: which of them start at this place of a text?
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace farthing::tokenizer {

/// Edges live in one hash table, so that a trie of a quarter million pieces is built in tens of milliseconds.
class Trie {
 public:
  static constexpr std::int32_t kRoot = 0;
  static constexpr std::int32_t kNone = -1;

  Trie();

  /// Adds `key` with a value that is not negative. A key that is there already takes the new value.
  void insert(std::string_view key, std::int32_t value);

  /// The node reached from `node` by `byte`, or kNone.
  std::int32_t step(std::int32_t node, unsigned char byte) const;

  /// The value of the key that ends at `node`, or kNone.
  std::int32_t value(std::int32_t node) const { return values_[static_cast<std::size_t>(node)]; }

  struct Match {
    std::size_t length = 0;
    std::int32_t value = kNone;
  };

 private:
  struct Edge {
    std::uint64_t key;  // node << 8 | byte, plus one; zero marks an empty slot
    std::int32_t child;
  };
  static std::uint64_t edge_key(std::int32_t node, unsigned char byte) {
    return (static_cast<std::uint64_t>(node) << 8 | byte) + 1;
  }
  std::size_t find_slot(std::uint64_t key) const;
  void grow();

  std::vector<Edge> edges_;  // a power of two, at most half full
  std::vector<std::int32_t> values_;
};

}  // namespace farthing::tokenizer
