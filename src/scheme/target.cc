#include "scheme/target.h"

#include <algorithm>
#include <tuple>

namespace farthing::scheme {
namespace {

constexpr std::string_view kRegexPrefix = "re:";

}  // namespace

Target::Target(std::string pattern) : pattern_(std::move(pattern)) {
  if (pattern_.starts_with(kRegexPrefix))
    regex_.emplace(pattern_.substr(kRegexPrefix.size()), Regex::Fit::kStart);
}

std::optional<MatchKind> Target::match(const ModuleNames& module) const {
  for (const std::string& name : module.names) {
    if (regex_ ? regex_->matches(name) : name == pattern_) {
      return regex_ ? MatchKind::kRegex : MatchKind::kName;
    }
  }
  if (!regex_ && module.class_name == pattern_) return MatchKind::kClass;
  return std::nullopt;
}

void TargetTable::add(std::span<const std::string> patterns) {
  for (const std::string& pattern : patterns) entries_.push_back({Target(pattern), num_lists_});
  ++num_lists_;
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const Entry& a, const Entry& b) { return a.target.pattern() < b.target.pattern(); });
}

std::optional<std::size_t> TargetTable::find(const ModuleNames& module) const {
  const Entry* best = nullptr;
  MatchKind best_kind = MatchKind::kClass;
  for (const Entry& entry : entries_) {
    const std::optional<MatchKind> kind = entry.target.match(module);
    if (!kind || (best != nullptr && *kind >= best_kind)) continue;
    best = &entry;
    best_kind = *kind;
  }
  if (best == nullptr) return std::nullopt;
  return best->list;
}

bool matches(std::string_view pattern, const ModuleNames& module) {
  return Target(std::string(pattern)).match(module).has_value();
}

}  // namespace farthing::scheme
