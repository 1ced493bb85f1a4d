#include "tokenizer/trie.h"

#include <utility>

namespace farthing::tokenizer {

Trie::Trie() : edges_(64, Edge{0, kNone}), values_{kNone} {}

std::size_t Trie::find_slot(std::uint64_t key) const {
  const std::size_t mask = edges_.size() - 1;
  std::size_t slot = static_cast<std::size_t>(key * 0x9E3779B97F4A7C15u >> 20) & mask;
  while (edges_[slot].key != 0 && edges_[slot].key != key) slot = (slot + 1) & mask;
  return slot;
}

void Trie::grow() {
  std::vector<Edge> old(edges_.size() * 2, Edge{0, kNone});
  std::swap(old, edges_);
  for (const Edge& edge : old) {
    if (edge.key != 0) edges_[find_slot(edge.key)] = edge;
  }
}

void Trie::insert(std::string_view key, std::int32_t value) {
  std::int32_t node = kRoot;
  for (const char byte : key) {
    if (values_.size() * 2 >= edges_.size()) grow();
    const std::uint64_t edge = edge_key(node, static_cast<unsigned char>(byte));
    const std::size_t slot = find_slot(edge);
    if (edges_[slot].key == 0) {
      edges_[slot] = {edge, static_cast<std::int32_t>(values_.size())};
      values_.push_back(kNone);
    }
    node = edges_[slot].child;
  }
  values_[static_cast<std::size_t>(node)] = value;
}

std::int32_t Trie::step(std::int32_t node, unsigned char byte) const {
  return edges_[find_slot(edge_key(node, byte))].child;
}

}  // namespace farthing::tokenizer
