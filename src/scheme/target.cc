#include "scheme/target.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <algorithm>
#include <tuple>

#include <pcre2.h>

#include "base/error.h"

namespace farthing::scheme {
namespace {

constexpr std::string_view kRegexPrefix = "re:";
constexpr std::uint32_t kMatchLimit =
    1'000'000;  // a pattern that backtracks longer than this is a mistake or an attack

std::string message_of(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

}  // namespace

struct Target::Regex {
  explicit Regex(const std::string& pattern) {
    const std::string_view expression = std::string_view(pattern).substr(kRegexPrefix.size());
    int error = 0;
    PCRE2_SIZE offset = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(), PCRE2_ANCHORED,
                         &error, &offset, nullptr);
    FARTHING_REQUIRE(
        code != nullptr, Code::kInvalidArgument, "regular expression is wrong",
        {{"pattern", pattern}, {"at", offset + kRegexPrefix.size()}, {"reason", message_of(error)}},
        "the syntax is Python's; a literal dot is written \\.");
    limits = pcre2_match_context_create(nullptr);
    pcre2_set_match_limit(limits, kMatchLimit);
  }
  ~Regex() {
    pcre2_match_context_free(limits);
    pcre2_code_free(code);
  }
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  bool matches(const std::string& name, const std::string& pattern) const {
    pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
    const int result =
        pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0, 0, data, limits);
    pcre2_match_data_free(data);
    FARTHING_REQUIRE(result >= 0 || result == PCRE2_ERROR_NOMATCH, Code::kInvalidArgument,
                     "regular expression cannot be evaluated",
                     {{"pattern", pattern}, {"module", name}, {"reason", message_of(result)}},
                     "simplify nested repetitions such as (a+)+");
    return result >= 0;
  }

  pcre2_code* code = nullptr;
  pcre2_match_context* limits = nullptr;
};

Target::Target(std::string pattern) : pattern_(std::move(pattern)) {
  if (pattern_.starts_with(kRegexPrefix)) regex_ = std::make_shared<const Regex>(pattern_);
}

std::optional<MatchKind> Target::match(const ModuleNames& module) const {
  for (const std::string& name : module.names) {
    if (regex_ != nullptr ? regex_->matches(name, pattern_) : name == pattern_) {
      return regex_ != nullptr ? MatchKind::kRegex : MatchKind::kName;
    }
  }
  if (regex_ == nullptr && module.class_name == pattern_) return MatchKind::kClass;
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
