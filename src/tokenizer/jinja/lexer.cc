#include "tokenizer/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer::jinja {
namespace {

constexpr std::size_t kMaxSourceBytes = std::size_t{2} << 20;  // the longest known templates have some 20 KB

// Longest first.
constexpr std::array<std::string_view, 26> kOperators = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                                         "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                                         ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool is_digit_char(char c) {
  return c >= '0' && c <= '9';
}

bool is_name_char(char c) {
  return is_digit_char(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c & 0x80) != 0;
}

// One kind of line end, and none at the very end.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    out += source[i] == '\r' ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalize_newlines(source)) {}
  std::vector<Token> run();

 private:
  bool at(std::string_view text) const { return std::string_view(source_).substr(at_).starts_with(text); }
  std::string_view rest() const { return std::string_view(source_).substr(at_); }
  [[noreturn]] void fail(std::string message) const { throw SyntaxError{std::move(message), line_}; }
  void emit(TokenKind kind, std::string text = {}) { tokens_.push_back({kind, std::move(text), line_}); }

  /// Moves on by `count` bytes and returns them.
  std::string_view take(std::size_t count);
  void skip_spaces();
  std::size_t find_tag() const;
  void emit_data(std::string_view text, char sign, bool is_variable);
  void end_tag(char sign, std::string_view closing, bool trims);

  void comment();
  std::optional<std::size_t> raw_tag(std::string_view name, std::size_t from) const;
  void raw();
  void tag(TokenKind begin, TokenKind end, std::string_view closing);
  bool close_tag(TokenKind end, std::string_view closing);

  void expression_token();
  void number();
  std::size_t digits(std::size_t from) const;
  void string();
  void string_escape(std::string_view text, std::size_t& i, std::string& out) const;
  void operator_token();

  std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // nothing but a swallowed newline lies before the data that follows
  std::string open_;           // brackets not yet closed in the current tag
  std::vector<Token> tokens_;
};

std::string_view Lexer::take(std::size_t count) {
  const std::string_view taken = rest().substr(0, count);
  line_ += static_cast<int>(std::count(taken.begin(), taken.end(), '\n'));
  at_ += taken.size();
  return taken;
}

void Lexer::skip_spaces() {
  take(rest().size() - strip(rest(), nullptr, Side::kLeft).size());
}

// Where the next tag begins; the size of the source if there is none.
std::size_t Lexer::find_tag() const {
  for (std::size_t brace = source_.find('{', at_); brace != std::string::npos;
       brace = source_.find('{', brace + 1)) {
    if (brace + 1 < source_.size() &&
        std::string_view("{%#").find(source_[brace + 1]) != std::string_view::npos)
      return brace;
  }
  return source_.size();
}

std::vector<Token> Lexer::run() {
  while (at_ < source_.size()) {
    const std::size_t begin = find_tag();
    if (begin == source_.size()) {
      emit(TokenKind::kData, std::string(rest()));
      break;
    }
    const std::size_t sign_at = begin + 2;
    const char sign = sign_at < source_.size() && (source_[sign_at] == '-' || source_[sign_at] == '+')
                          ? source_[sign_at]
                          : '\0';
    const char kind = source_[begin + 1];
    const std::string_view text = rest().substr(0, begin - at_);
    emit_data(text, sign, kind == '{');
    take(text.size());
    if (kind == '%' && raw_tag("raw", at_)) {
      raw();
      continue;
    }
    take(sign == '\0' ? 2 : 3);
    if (kind == '#') comment();
    if (kind == '{') tag(TokenKind::kVariableBegin, TokenKind::kVariableEnd, "}}");
    if (kind == '%') tag(TokenKind::kBlockBegin, TokenKind::kBlockEnd, "%}");
  }
  emit(TokenKind::kEnd);
  return std::move(tokens_);
}

void Lexer::emit_data(std::string_view text, char sign, bool is_variable) {
  if (sign == '-') {
    text = strip(text, nullptr, Side::kRight);
  } else if (sign != '+' && !is_variable) {
    const std::size_t newline = text.rfind('\n');
    const std::size_t line_start = newline == std::string_view::npos ? 0 : newline + 1;
    const bool whole_line = newline != std::string_view::npos || line_starting_;
    if (whole_line && strip(text.substr(line_start), nullptr, Side::kLeft).empty())
      text = text.substr(0, line_start);
  }
  if (!text.empty()) emit(TokenKind::kData, std::string(text));
}

// Takes the end of a tag: its sign, the closing itself and the white space that goes with it.
void Lexer::end_tag(char sign, std::string_view closing, bool trims) {
  take(closing.size() + (sign == '\0' ? 0 : 1));
  if (sign == '-') skip_spaces();
  if (sign == '\0' && trims && at("\n")) take(1);
  line_starting_ = source_[at_ - 1] == '\n';
}

void Lexer::comment() {
  const std::size_t close = source_.find("#}", at_);
  if (close == std::string::npos) fail("Missing end of comment tag");
  const char before = close > at_ ? source_[close - 1] : '\0';
  const char sign = before == '-' || before == '+' ? before : '\0';
  take(close - at_ - (sign == '\0' ? 0 : 1));
  end_tag(sign, "#}", true);
}

// Where the closing of a tag that holds just `name` starts (its sign included), if there is such a tag at
// `from`.
std::optional<std::size_t> Lexer::raw_tag(std::string_view name, std::size_t from) const {
  std::string_view text = std::string_view(source_).substr(from + 2);
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  text = strip(text, nullptr, Side::kLeft);
  if (!text.starts_with(name)) return {};
  text = strip(text.substr(name.size()), nullptr, Side::kLeft);
  const bool signed_end = text.starts_with("-%}") || (name == "endraw" && text.starts_with("+%}"));
  if (!signed_end && !text.starts_with("%}")) return {};
  return source_.size() - text.size();
}

void Lexer::raw() {
  const std::size_t closing = *raw_tag("raw", at_);
  take(closing - at_);
  end_tag(at("-") ? '-' : '\0', "%}", false);
  for (std::size_t end = source_.find("{%", at_); end != std::string::npos;
       end = source_.find("{%", end + 2)) {
    const auto end_closing = raw_tag("endraw", end);
    if (!end_closing) continue;
    const char sign = source_[end + 2] == '-' || source_[end + 2] == '+' ? source_[end + 2] : '\0';
    emit_data(rest().substr(0, end - at_), sign, false);
    take(*end_closing - at_);
    end_tag(at("-") ? '-' : at("+") ? '+' : '\0', "%}", true);
    return;
  }
  fail("Missing end of raw directive");
}

void Lexer::tag(TokenKind begin, TokenKind end, std::string_view closing) {
  emit(begin);
  open_.clear();
  while (true) {
    skip_spaces();
    if (at_ >= source_.size() || close_tag(end, closing)) return;
    expression_token();
  }
}

// `%}` or `}}` ends the tag only outside of brackets, so that a dict may end in two braces.
bool Lexer::close_tag(TokenKind end, std::string_view closing) {
  if (!open_.empty()) return false;
  const bool is_block = end == TokenKind::kBlockEnd;
  const char first = source_[at_];
  const char sign = first == '-' || (first == '+' && is_block) ? first : '\0';
  if (!rest().substr(sign == '\0' ? 0 : 1).starts_with(closing)) return false;
  emit(end);
  end_tag(sign, closing, is_block);
  return true;
}

void Lexer::expression_token() {
  const char c = source_[at_];
  if (is_digit_char(c)) {
    number();
  } else if (is_name_char(c)) {
    std::size_t length = 0;
    while (length < rest().size() && is_name_char(rest()[length])) ++length;
    emit(TokenKind::kName, std::string(rest().substr(0, length)));
    take(length);
  } else if (c == '"' || c == '\'') {
    string();
  } else {
    operator_token();
  }
}

// The end of a run of digits with single underscores between them; `from` when there is none.
std::size_t Lexer::digits(std::size_t from) const {
  std::size_t end = from;
  while (end < source_.size() &&
         (is_digit_char(source_[end]) ||
          (end > from && source_[end] == '_' && end + 1 < source_.size() && is_digit_char(source_[end + 1]))))
    ++end;
  return end;
}

void Lexer::number() {
  const auto letter = [&](std::size_t i) {
    return i < source_.size() ? static_cast<char>(source_[i] | 0x20) : '\0';
  };
  const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';  // in x.0.1 the parts are integers
  std::size_t end = digits(at_);
  bool is_float = false;
  if (source_[at_] == '0' && (letter(at_ + 1) == 'x' || letter(at_ + 1) == 'o' || letter(at_ + 1) == 'b')) {
    end = at_ + 2;
    while (end < source_.size() && (is_digit_char(source_[end]) || source_[end] == '_' ||
                                    (letter(at_ + 1) == 'x' && letter(end) >= 'a' && letter(end) <= 'f')))
      ++end;
  } else if (!after_dot) {
    if (end + 1 < source_.size() && source_[end] == '.' && is_digit_char(source_[end + 1])) {
      is_float = true;
      end = digits(end + 1);
    }
    const bool exponent_sign =
        end + 1 < source_.size() && (source_[end + 1] == '+' || source_[end + 1] == '-');
    const std::size_t exponent = end + (exponent_sign ? 2 : 1);
    if (letter(end) == 'e' && digits(exponent) > exponent) {
      is_float = true;
      end = digits(exponent);
    }
  }
  emit(is_float ? TokenKind::kFloat : TokenKind::kInteger, std::string(rest().substr(0, end - at_)));
  take(end - at_);
}

void Lexer::string() {
  const char quote = source_[at_];
  std::size_t end = at_ + 1;
  while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
  if (end >= source_.size())
    fail(fmt::format("unexpected char {} at {}", quote == '"' ? "'\"'" : "\"'\"", at_));
  const std::string_view text = rest().substr(1, end - at_ - 1);
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '\\') {
      out += text[i++];
    } else {
      ++i;
      string_escape(text, i, out);
    }
  }
  emit(TokenKind::kString, std::move(out));
  take(end + 1 - at_);
}

// What follows a backslash, as in Python's string literals; an unknown escape stays as it is written.
void Lexer::string_escape(std::string_view text, std::size_t& i, std::string& out) const {
  constexpr std::string_view kLetters = "\\'\"abfnrtv";
  constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  const char c = text[i++];
  if (c == '\n') return;
  if (const std::size_t known = kLetters.find(c); known != std::string_view::npos) {
    out += kMeanings[known];
    return;
  }
  const bool octal = c >= '0' && c <= '7';
  const std::size_t length = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
  if (octal) --i;
  char32_t code_point = 0;
  std::size_t count = 0;
  for (; count < (octal ? 3 : length) && i < text.size(); ++count, ++i) {
    const auto digit = std::string_view("0123456789abcdef")
                           .find(static_cast<char>(is_digit_char(text[i]) ? text[i] : text[i] | 0x20));
    if (digit == std::string_view::npos || (octal && digit > 7)) break;
    code_point = code_point * (octal ? 8 : 16) + static_cast<char32_t>(digit);
  }
  if (octal || length > 0) {
    if (!octal && count < length) fail(fmt::format("truncated \\{} escape", c));
    append_code_point(out, code_point);
  } else {
    out += '\\';
    out += c;
  }
}

void Lexer::operator_token() {
  const auto found =
      std::find_if(kOperators.begin(), kOperators.end(), [&](std::string_view op) { return at(op); });
  if (found == kOperators.end()) fail(fmt::format("unexpected char '{}' at {}", source_[at_], at_));
  const char c = (*found)[0];
  if (c == '(' || c == '[' || c == '{') open_ += c == '(' ? ')' : c == '[' ? ']' : '}';
  if (c == ')' || c == ']' || c == '}') {
    if (open_.empty()) fail(fmt::format("unexpected '{}'", c));
    if (open_.back() != c) fail(fmt::format("unexpected '{}', expected '{}'", c, open_.back()));
    open_.pop_back();
  }
  emit(TokenKind::kOperator, std::string(*found));
  take(found->size());
}

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  if (source.size() > kMaxSourceBytes)
    throw SyntaxError{fmt::format("a template of {} bytes is too long", source.size()), 1};
  return Lexer(source).run();
}

}  // namespace farthing::tokenizer::jinja
