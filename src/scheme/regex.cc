#include "scheme/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.h"

namespace farthing::scheme {
namespace {

// An expression that backtracks longer than this is a mistake or an attack.
constexpr std::uint32_t kMatchLimit = 1'000'000;

std::string message_of(int code) {
  PCRE2_UCHAR text[256];
  pcre2_get_error_message(code, text, sizeof(text));
  return reinterpret_cast<const char*>(text);
}

std::uint32_t options_of(Regex::Fit fit) {
  switch (fit) {
    case Regex::Fit::kStart:
      return PCRE2_ANCHORED;
    case Regex::Fit::kAnywhere:
      return 0;
    case Regex::Fit::kWhole:
      return PCRE2_ANCHORED | PCRE2_ENDANCHORED;
  }
  return 0;
}

}  // namespace

struct Regex::Code {
  Code(const std::string& expression, Fit fit) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    compiled = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                             options_of(fit), &error, &offset, nullptr);
    FARTHING_REQUIRE(compiled != nullptr, farthing::Code::kInvalidArgument, "regular expression is wrong",
                     {{"pattern", expression}, {"at", offset}, {"reason", message_of(error)}},
                     "the syntax is Python's; a literal dot is written \\.");
    limits = pcre2_match_context_create(nullptr);
    pcre2_set_match_limit(limits, kMatchLimit);
  }
  ~Code() {
    pcre2_match_context_free(limits);
    pcre2_code_free(compiled);
  }
  Code(const Code&) = delete;
  Code& operator=(const Code&) = delete;

  pcre2_code* compiled = nullptr;
  pcre2_match_context* limits = nullptr;
};

Regex::Regex(std::string expression, Fit fit)
    : expression_(std::move(expression)), code_(std::make_shared<const Code>(expression_, fit)) {}

bool Regex::matches(std::string_view name) const {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  const int result = pcre2_match(code_->compiled, reinterpret_cast<PCRE2_SPTR>(name.data()), name.size(), 0,
                                 0, data, code_->limits);
  pcre2_match_data_free(data);
  FARTHING_REQUIRE(result >= 0 || result == PCRE2_ERROR_NOMATCH, farthing::Code::kInvalidArgument,
                   "regular expression cannot be evaluated",
                   {{"pattern", expression_}, {"name", name}, {"reason", message_of(result)}},
                   "simplify nested repetitions such as (a+)+");
  return result >= 0;
}

}  // namespace farthing::scheme
