#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <algorithm>
#include <new>
#include <optional>

#include <pcre2.h>

#include "base/error.h"
#include "tokenizer/regex_syntax.h"
#include "tokenizer/unicode.h"

namespace farthing::tokenizer {

namespace {

// Backtracking steps allowed for one match: far beyond what a split pattern needs, and a fraction of a
// second.
constexpr std::uint32_t kMatchLimit = 10'000'000;
constexpr std::size_t kMinJitStack = 32 << 10;
constexpr std::size_t kMaxJitStack = 8 << 20;

std::string error_text(int code) {
  PCRE2_UCHAR buffer[256] = {};
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

/// What a search writes to; one per thread, because allocating it costs more than a typical match.
struct Workspace {
  Workspace()
      : data(pcre2_match_data_create(1, nullptr)),
        context(pcre2_match_context_create(nullptr)),
        stack(pcre2_jit_stack_create(kMinJitStack, kMaxJitStack, nullptr)) {
    if (data == nullptr || context == nullptr || stack == nullptr) throw std::bad_alloc();
    pcre2_set_match_limit(context, kMatchLimit);
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Workspace() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* stack;
};

Workspace& workspace() {
  thread_local Workspace instance;
  return instance;
}

}  // namespace

struct Regex::Compiled {
  Compiled(std::string_view pattern, std::string_view as_written) : as_written(as_written) {
    int error = 0;
    PCRE2_SIZE offset = 0;
    code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset, nullptr);
    FARTHING_REQUIRE(
        code != nullptr, Code::kUnsupported, "cannot compile a pattern of the tokenizer",
        {{"pattern", as_written}, {"reason", error_text(error)}, {"near", pattern.substr(0, offset)}});
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // where this fails, matching falls back to the interpreter
  }
  ~Compiled() { pcre2_code_free(code); }
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;

  std::optional<Span> find(std::string_view text, std::size_t start) const {
    Workspace& space = workspace();
    const int count = pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), start,
                                  PCRE2_NO_UTF_CHECK, space.data, space.context);
    if (count == PCRE2_ERROR_NOMATCH) return std::nullopt;
    FARTHING_REQUIRE(count >= 0, Code::kUnsupported,
                     "a pattern of the tokenizer needs too much work on this text",
                     {{"pattern", as_written}, {"reason", error_text(count)}});
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(space.data);
    return Span{bounds[0], std::max(bounds[0], bounds[1])};
  }

  pcre2_code* code;
  std::string as_written;
};

Regex::Regex(std::string_view pattern, std::string_view as_written)
    : compiled_(std::make_shared<const Compiled>(pattern, as_written)) {}

Regex::Regex(std::string_view pattern) : Regex(pattern, pattern) {}

Regex Regex::from_oniguruma(std::string_view pattern) {
  return Regex(oniguruma_to_pcre2(pattern), pattern);
}

Regex Regex::literal(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (std::string_view("\\^$.[]|()?*+{}-#").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return Regex(pattern, text);
}

void Regex::find_all(std::string_view text, std::vector<Span>& matches) const {
  std::size_t start = 0;
  std::optional<std::size_t> last_end;
  while (start <= text.size()) {
    const std::optional<Span> match = compiled_->find(text, start);
    if (!match) return;
    if (match->size() == 0 && match->end == last_end) {
      start += start < text.size() ? code_point_at(text, start).length : 1;
      continue;
    }
    matches.push_back(*match);
    start = match->end;
    last_end = match->end;
  }
}

bool Regex::matches(std::string_view text) const {
  return compiled_->find(text, 0).has_value();
}

}  // namespace farthing::tokenizer
