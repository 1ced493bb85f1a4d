// One block of a family's description in YAML, read word by word, with errors that say where and which words
// are known.
#pragma once

#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/expression.h"

namespace farthing::models {

class DescriptionReader {
 public:
  /// `path` says where the block stands ("block.attention"), `origin` in which file.
  DescriptionReader(Json block, std::string path, std::string origin, const Config& config,
                    const Variables& variables);

  /// Present, and neither null nor false.
  bool has(std::string_view key) const;

  /// A word or name as it stands. Throws kInvalidArgument when it is missing and there is no fallback.
  std::string text(std::string_view key, std::optional<std::string_view> fallback = {}) const;
  /// The value of an expression. Throws kInvalidArgument when it is missing without fallback, kCorruptData
  /// when it needs a key that config.json lacks.
  double number(std::string_view key, std::optional<double> fallback = {}) const;
  std::int64_t integer(std::string_view key, std::optional<std::int64_t> fallback = {}) const;
  /// A count or width: an integer from 1 to 2^30.
  std::int64_t size(std::string_view key, std::optional<std::int64_t> fallback = {}) const;
  bool flag(std::string_view key, bool fallback) const { return number(key, fallback ? 1.0 : 0.0) != 0.0; }

  /// One of several words.
  template <typename Choice>
  Choice choice(std::string_view key, std::initializer_list<std::pair<std::string_view, Choice>> choices,
                Choice fallback) const {
    if (!has(key)) return fallback;
    const std::string word = text(key);
    std::vector<std::string_view> known;
    for (const auto& [name, value] : choices) {
      if (name == word) return value;
      known.push_back(name);
    }
    refuse(key, "a word is not known", known);
  }

  /// The block under a key; a lone name becomes {name: NAME}.
  DescriptionReader child(std::string_view key) const;
  /// The blocks of a list; lone names as in `child`.
  std::vector<DescriptionReader> children(std::string_view key) const;
  std::vector<std::string> texts(std::string_view key) const;

  /// Throws kInvalidArgument naming a word that nobody asked for, with the nearest one that somebody did.
  void finish() const;

  const Config& config() const { return config_; }

 private:
  const Json* find(std::string_view key) const;
  [[noreturn]] void refuse(std::string_view key, std::string what,
                           const std::vector<std::string_view>& known = {}) const;
  DescriptionReader reader_of(const Json& value, std::string path) const;

  Json block_;
  std::string path_, origin_;
  const Config& config_;
  const Variables& variables_;
  mutable std::set<std::string, std::less<>> asked_;
};

}  // namespace farthing::models
