#include "tokenizer/vocabulary.h"

#include <functional>

#include "base/error.h"

namespace farthing::tokenizer {

namespace {

std::uint32_t hash_of(std::string_view token) {
  return static_cast<std::uint32_t>(std::hash<std::string_view>{}(token));
}

}  // namespace

std::size_t Vocabulary::find_slot(std::string_view token, std::uint32_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash & mask;; slot = (slot + 1) & mask) {
    if (slots_[slot] < 0) return slot;
    const Entry& entry = entries_[static_cast<std::size_t>(slots_[slot])];
    if (entry.hash == hash && text(entry) == token) return slot;
  }
}

void Vocabulary::grow() {
  slots_.assign(std::max<std::size_t>(64, slots_.size() * 2), -1);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    std::size_t slot = entries_[i].hash & mask;
    while (slots_[slot] >= 0) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<std::int32_t>(i);
  }
}

void Vocabulary::insert(std::string_view token, std::int64_t id) {
  FARTHING_REQUIRE(id >= 0 && id <= kMaxId, Code::kCorruptData, "token id out of range",
                   {{"token", token}, {"id", id}, {"largest", kMaxId}});
  if (entries_.size() * 2 >= slots_.size()) grow();
  const std::uint32_t hash = hash_of(token);
  const std::size_t slot = find_slot(token, hash);
  if (slots_[slot] < 0) {
    slots_[slot] = static_cast<std::int32_t>(entries_.size());
    entries_.push_back({hash, static_cast<std::uint32_t>(token.size()), arena_.size(), 0});
    arena_ += token;
  }
  Entry& entry = entries_[static_cast<std::size_t>(slots_[slot])];
  entry.id = static_cast<std::int32_t>(id);
  if (id >= id_limit()) entry_of_id_.resize(static_cast<std::size_t>(id) + 1, -1);
  entry_of_id_[static_cast<std::size_t>(id)] = slots_[slot];
}

std::optional<std::int32_t> Vocabulary::id(std::string_view token) const {
  if (slots_.empty()) return std::nullopt;
  const std::int32_t index = slots_[find_slot(token, hash_of(token))];
  if (index < 0) return std::nullopt;
  return entries_[static_cast<std::size_t>(index)].id;
}

std::optional<std::string_view> Vocabulary::token(std::int32_t id) const {
  if (id < 0 || id >= id_limit()) return std::nullopt;
  const std::int32_t index = entry_of_id_[static_cast<std::size_t>(id)];
  if (index < 0) return std::nullopt;
  return text(entries_[static_cast<std::size_t>(index)]);
}

}  // namespace farthing::tokenizer
