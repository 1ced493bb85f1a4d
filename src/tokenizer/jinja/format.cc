#include "tokenizer/jinja/format.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer::jinja {
namespace {

constexpr int kMaxDigits = 1000;  // precision; more has no meaning for a double
constexpr int kMaxWidth = 1'000'000;

// Python's format specification, which also covers the flags of the printf style.
struct Spec {
  char32_t fill = ' ';
  char align = 0;  // < > ^ =, or 0 for the type's own
  char sign = '-';
  bool alternate = false;
  int width = 0;
  char grouping = 0;
  std::optional<int> precision;
  char type = 0;
};

int parse_number(std::string_view text, std::size_t& at, int limit) {
  int number = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    number = number * 10 + (text[at++] - '0');
    if (number > limit) fail("format width or precision is too large");
  }
  return number;
}

std::string pad(std::string text, const Spec& spec, char align) {
  const std::size_t length = text_length(text);
  if (static_cast<std::size_t>(spec.width) <= length) return text;
  const std::size_t missing = static_cast<std::size_t>(spec.width) - length;
  const std::size_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string out;
  for (std::size_t i = 0; i < left; ++i) append_code_point(out, spec.fill);
  out += text;
  for (std::size_t i = left; i < missing; ++i) append_code_point(out, spec.fill);
  return out;
}

std::string group_digits(const std::string& digits, char separator, std::size_t size) {
  const std::size_t whole = std::min(digits.find_first_not_of("0123456789abcdefABCDEF"), digits.size());
  std::string out;
  for (std::size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % size == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(whole);
}

// Puts sign, prefix and digits together; fill with '=' goes between sign and digits.
std::string assemble(bool negative, const std::string& prefix, std::string digits, const Spec& spec) {
  if (spec.grouping != 0)
    digits = group_digits(digits, spec.grouping,
                          prefix.empty() && spec.type != 'b' && spec.type != 'x' && spec.type != 'o' ? 3 : 4);
  std::string head;
  if (negative || spec.sign != '-') head += negative ? '-' : spec.sign;
  head += prefix;
  const char align = spec.align == 0 ? '>' : spec.align;
  if (align != '=') return pad(head + digits, spec, align);
  Spec rest = spec;
  rest.width = std::max(0, spec.width - static_cast<int>(head.size()));
  return head + pad(digits, rest, '>');
}

std::string format_text(const std::string& text, const Spec& spec) {
  std::string cut =
      spec.precision ? std::string(slice_text(text, 0, static_cast<std::size_t>(*spec.precision))) : text;
  return pad(std::move(cut), spec, spec.align == 0 ? '<' : spec.align);
}

std::string format_float(double value, const Spec& spec) {
  const double size = std::abs(value);
  const int precision = spec.precision.value_or(6);
  std::string digits;
  switch (spec.type) {
    case 'e':
      digits = fmt::format("{:.{}e}", size, precision);
      break;
    case 'E':
      digits = fmt::format("{:.{}E}", size, precision);
      break;
    case 'f':
      digits = fmt::format("{:.{}f}", size, precision);
      break;
    case 'F':
      digits = fmt::format("{:.{}F}", size, precision);
      break;
    case '%':
      digits = fmt::format("{:.{}f}%", size * 100, precision);
      break;
    case 'G':
      digits = fmt::format("{:.{}G}", size, std::max(precision, 1));
      break;
    case 0:
      digits = spec.precision ? fmt::format("{:.{}g}", size, std::max(precision, 1)) : float_text(size);
      if (digits.find_first_not_of("0123456789") == std::string::npos) digits += ".0";
      break;
    default:
      digits = spec.alternate ? fmt::format("{:#.{}g}", size, std::max(precision, 1))
                              : fmt::format("{:.{}g}", size, std::max(precision, 1));
  }
  return assemble(std::signbit(value) && !std::isnan(value), "", digits, spec);
}

std::string format_integer(std::int64_t value, const Spec& spec) {
  const bool negative = value < 0;
  const std::uint64_t size =
      negative ? 0 - static_cast<std::uint64_t>(value) : static_cast<std::uint64_t>(value);
  std::string digits;
  std::string prefix;
  switch (spec.type) {
    case 'b':
      digits = fmt::format("{:b}", size);
      prefix = "0b";
      break;
    case 'o':
      digits = fmt::format("{:o}", size);
      prefix = "0o";
      break;
    case 'x':
      digits = fmt::format("{:x}", size);
      prefix = "0x";
      break;
    case 'X':
      digits = fmt::format("{:X}", size);
      prefix = "0X";
      break;
    case 'c':
      append_code_point(digits, static_cast<char32_t>(size));
      return format_text(digits, spec);
    default:
      digits = std::to_string(size);
  }
  if (!spec.alternate) prefix.clear();
  if (spec.precision && digits.size() < static_cast<std::size_t>(*spec.precision)) {
    digits.insert(0, static_cast<std::size_t>(*spec.precision) - digits.size(), '0');
  }
  return assemble(negative, prefix, digits, spec);
}

bool is_float_type(char type) {
  return std::string_view("eEfFgG%").find(type) != std::string_view::npos;
}

// ---- '%s' % value ----

class PercentFormatter {
 public:
  PercentFormatter(const Text& pattern, const Value& values, Budget& budget)
      : pattern_(pattern), values_(values), budget_(budget) {}
  std::string run();

 private:
  bool values_are_tuple() const {
    const Sequence* sequence = values_.as_sequence();
    return sequence &&
           (sequence->flavor == Sequence::Flavor::kTuple || sequence->flavor == Sequence::Flavor::kGroup);
  }
  void field();
  std::optional<Value> named_value();
  Spec parse_spec();
  Value next_value();
  int number_or_star(int limit);
  std::string convert(const Value& value, Spec spec);
  std::int64_t whole(const Value& value, char type);
  std::string shown(const std::string& text) const { return pattern_.markup ? escape_html(text) : text; }

  const Text& pattern_;
  const Value& values_;
  Budget& budget_;
  std::size_t at_ = 0;
  std::size_t used_ = 0;
  bool by_name_ = false;
  std::string out_;
};

std::string PercentFormatter::run() {
  const std::string& text = pattern_.bytes;
  while (at_ < text.size()) {
    const std::size_t percent = std::min(text.find('%', at_), text.size());
    out_ += text.substr(at_, percent - at_);
    at_ = percent + 1;
    if (percent < text.size()) field();
    budget_.step();
  }
  // Like Python, complain about a single value left over only if it cannot be subscripted.
  const bool subscriptable = values_.as_dict() || values_.as_sequence() || values_.is_undefined();
  const bool left_over =
      values_are_tuple() ? used_ < values_.as_sequence()->items.size() : used_ == 0 && !subscriptable;
  if (left_over && !by_name_) fail("not all arguments converted during string formatting");
  return std::move(out_);
}

Value PercentFormatter::next_value() {
  if (values_are_tuple()) {
    const auto& items = values_.as_sequence()->items;
    if (used_ >= items.size()) fail("not enough arguments for format string");
    return items[used_++];
  }
  if (used_++ > 0) fail("not enough arguments for format string");
  return values_;
}

int PercentFormatter::number_or_star(int limit) {
  if (at_ >= pattern_.bytes.size() || pattern_.bytes[at_] != '*')
    return parse_number(pattern_.bytes, at_, limit);
  ++at_;
  const auto number = next_value().as_integer();
  if (!number) fail("* wants int");
  if (*number < 0 || *number > limit) fail("format width or precision is too large");
  return static_cast<int>(*number);
}

// The value of a %(name)s, if this is one.
std::optional<Value> PercentFormatter::named_value() {
  const std::string& text = pattern_.bytes;
  if (at_ >= text.size() || text[at_] != '(') return {};
  const std::size_t close = text.find(')', at_);
  if (close == std::string::npos) fail("incomplete format key");
  const Dict* dict = values_.as_dict();
  if (!dict) fail("format requires a mapping");
  const std::string key = text.substr(at_ + 1, close - at_ - 1);
  const Value* value = dict->find(key, budget_);
  if (!value) fail("'{}'", key);
  by_name_ = true;
  at_ = close + 1;
  return *value;
}

// Flags, width, precision and type.
Spec PercentFormatter::parse_spec() {
  const std::string& text = pattern_.bytes;
  const auto at_one_of = [&](std::string_view set) {
    return at_ < text.size() && set.find(text[at_]) != std::string_view::npos;
  };
  Spec spec;
  bool zero = false;
  for (; at_one_of("-+ #0"); ++at_) {
    if (text[at_] == '-') spec.align = '<';
    if (text[at_] == '+' || (text[at_] == ' ' && spec.sign == '-')) spec.sign = text[at_];
    if (text[at_] == '#') spec.alternate = true;
    if (text[at_] == '0') zero = true;
  }
  spec.width = number_or_star(kMaxWidth);
  if (at_one_of(".")) {
    ++at_;
    spec.precision = number_or_star(kMaxDigits);
  }
  while (at_one_of("hlL")) ++at_;
  if (at_ >= text.size()) fail("incomplete format");
  spec.type = text[at_++];
  if (zero && spec.align == 0 && std::string_view("srac").find(spec.type) == std::string_view::npos) {
    spec.fill = '0';
    spec.align = '=';
  }
  return spec;
}

void PercentFormatter::field() {
  const std::optional<Value> named = named_value();
  const Spec spec = parse_spec();
  if (spec.type == '%') {
    out_ += '%';
    return;
  }
  budget_.charge(static_cast<std::size_t>(spec.width));
  const std::string converted = convert(named ? *named : next_value(), spec);
  budget_.charge(converted.size());
  out_ += converted;
}

std::int64_t PercentFormatter::whole(const Value& value, char type) {
  if (const auto integer = value.as_integer()) return *integer;
  const double* real = value.as_float();
  const bool decimal = type == 'd' || type == 'i' || type == 'u';
  if (!real || !decimal)
    fail("%{} format: {} is required, not {}", type, decimal ? "a real number" : "an integer",
         type_name(value));
  if (!(std::abs(*real) < 9.2e18)) fail("cannot convert {} to integer", float_text(*real));
  return static_cast<std::int64_t>(*real);
}

std::string PercentFormatter::convert(const Value& value, Spec spec) {
  const char type = spec.type;
  if (spec.align == 0) spec.align = '>';
  switch (type) {
    case 's':
      return format_text(shown(str(value, budget_)), spec);
    case 'r':
    case 'a':
      return format_text(shown(repr(value, budget_)), spec);
    case 'c':
      if (const Text* text = value.as_text()) {
        if (text_length(text->bytes) != 1) fail("%c requires int or char");
        return format_text(text->bytes, spec);
      }
      return format_integer(whole(value, type), spec);
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X':
      return format_integer(whole(value, type), spec);
    default:
      break;
  }
  if (!is_float_type(type)) fail("unsupported format character '{}'", type);
  const auto number = value.as_number();
  if (!number) fail("must be real number, not {}", type_name(value));
  return format_float(*number, spec);
}

// ---- '{}'.format(value) ----

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const Arguments& arguments, bool markup)
      : runtime_(runtime), arguments_(arguments), markup_(markup) {}
  std::string run(std::string_view pattern, int depth);

 private:
  std::string field(std::string_view text, int depth);
  Value lookup(std::string_view name);
  Value first_value(std::string_view name);
  std::string format(const Value& value, std::string_view specification);

  Runtime& runtime_;
  const Arguments& arguments_;
  bool markup_;
  std::size_t next_ = 0;
  bool automatic_ = false;
  bool manual_ = false;
};

// The end of the field that starts after a brace: its closing brace, with nested ones skipped.
std::size_t closing_brace(std::string_view pattern, std::size_t at) {
  if (at == pattern.size()) fail("Single '{{' encountered in format string");
  for (int open = 1; at < pattern.size(); ++at) {
    if (pattern[at] == '{') ++open;
    if (pattern[at] == '}' && --open == 0) return at;
  }
  fail("expected '}}' before end of string");
}

std::string BraceFormatter::run(std::string_view pattern, int depth) {
  if (depth > 2) fail("Max string recursion exceeded");
  std::string out;
  for (std::size_t at = 0; at < pattern.size();) {
    const char c = pattern[at++];
    const bool doubled = at < pattern.size() && pattern[at] == c;
    if ((c != '{' && c != '}') || doubled) {
      out += c;
      at += c == '{' || c == '}' ? 1 : 0;
      continue;
    }
    if (c == '}') fail("Single '}}' encountered in format string");
    const std::size_t close = closing_brace(pattern, at);
    const std::string text = field(pattern.substr(at, close - at), depth);
    runtime_.budget.step();
    runtime_.budget.charge(text.size());
    out += text;
    at = close + 1;
  }
  return out;
}

std::string BraceFormatter::field(std::string_view text, int depth) {
  std::size_t name_end = 0;  // a colon inside [...] belongs to the name
  for (bool inside = false; name_end < text.size(); ++name_end) {
    if (text[name_end] == '[') inside = true;
    if (text[name_end] == ']') inside = false;
    if (!inside && (text[name_end] == ':' || text[name_end] == '!')) break;
  }
  Value value = lookup(text.substr(0, name_end));
  text.remove_prefix(name_end);
  if (!text.empty() && text[0] == '!') {
    const std::string_view conversion = text.substr(1, std::min(text.find(':'), text.size()) - 1);
    if (conversion == "r" || conversion == "a") {
      value = Value::text(repr(value, runtime_.budget));
    } else if (conversion == "s") {
      value = Value::text(str(value, runtime_.budget));
    } else {
      fail("Unknown conversion specifier {}", conversion);
    }
    text.remove_prefix(conversion.size() + 1);
  }
  const std::string specification = text.empty() ? "" : run(text.substr(1), depth + 1);
  const std::string formatted = format(value, specification);
  return markup_ && !(value.is_text() && value.as_text()->markup) ? escape_html(formatted) : formatted;
}

Value BraceFormatter::first_value(std::string_view name) {
  const bool number = std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!number) {
    for (const auto& [key, value] : arguments_.named) {
      if (key == name) return value;
    }
    fail("'{}'", name);
  }
  (name.empty() ? automatic_ : manual_) = true;
  if (automatic_ && manual_) fail("cannot mix manual field specification and automatic field numbering");
  std::size_t at = 0;
  const std::size_t index =
      name.empty() ? next_++ : static_cast<std::size_t>(parse_number(name, at, kMaxWidth));
  if (index >= arguments_.positional.size()) fail("tuple index out of range");
  return arguments_.positional[index];
}

Value BraceFormatter::lookup(std::string_view name) {
  std::size_t at = std::min(name.find_first_of(".["), name.size());
  Value value = first_value(name.substr(0, at));
  while (at < name.size()) {
    if (name[at] == '.') {
      const std::size_t end = std::min(name.find_first_of(".[", at + 1), name.size());
      value = get_attribute(runtime_, value, name.substr(at + 1, end - at - 1));
      at = end;
      continue;
    }
    const std::size_t end = name.find(']', at);
    if (end == std::string_view::npos) fail("Missing ']' in format string");
    const std::string_view key = name.substr(at + 1, end - at - 1);
    const bool number = !key.empty() && key.find_first_not_of("0123456789") == std::string_view::npos;
    std::size_t start = 0;
    value = get_item(runtime_, value,
                     number ? Value::integer(parse_number(key, start, kMaxWidth)) : Value::text(key));
    at = end + 1;
    if (at < name.size() && name[at] != '.' && name[at] != '[')
      fail("Only '.' or '[' may follow ']' in format field specifier");
  }
  return value;
}

// [[fill]align][sign][z][#][0][width][grouping][.precision][type]
Spec parse_spec(std::string_view text) {
  Spec spec;
  std::size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  std::size_t after_first = 0;
  const char32_t first = text.empty() ? U'\0' : next_code_point(text, after_first);
  if (after_first < text.size() && is_align(text[after_first])) {
    spec.fill = first;
    spec.align = text[after_first];
    at = after_first + 1;
  } else if (!text.empty() && is_align(text[0])) {
    spec.align = text[at++];
  }
  const auto take = [&](std::string_view set) {
    return at < text.size() && set.find(text[at]) != std::string_view::npos ? text[at++] : '\0';
  };
  if (const char sign = take("+- ")) spec.sign = sign;
  spec.alternate = take("#") != 0;
  if (take("0") != 0 && spec.align == 0) {
    spec.fill = '0';
    spec.align = '=';
  }
  spec.width = parse_number(text, at, kMaxWidth);
  spec.grouping = take(",_");
  if (take(".") != 0) spec.precision = parse_number(text, at, kMaxDigits);
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) fail("Invalid format specifier '{}'", text);
  return spec;
}

std::string BraceFormatter::format(const Value& value, std::string_view specification) {
  Budget& budget = runtime_.budget;
  if (specification.empty()) return str(value, budget);
  const Spec spec = parse_spec(specification);
  budget.charge(static_cast<std::size_t>(spec.width));
  const auto reject = [&] {
    fail("Unknown format code '{}' for object of type '{}'", spec.type, type_name(value));
  };
  if (const Text* text = value.as_text()) {
    if (spec.type != 0 && spec.type != 's') reject();
    if (spec.align == '=' && spec.fill != '0') fail("'=' alignment not allowed in string format specifier");
    Spec left = spec;
    if (left.align == '=') left.align = '<';
    return format_text(text->bytes, left);
  }
  if (const double* real = value.as_float()) {
    if (spec.type != 0 && spec.type != 'n' && !is_float_type(spec.type)) reject();
    return format_float(*real, spec);
  }
  if (const auto integer = value.as_integer()) {
    if (is_float_type(spec.type)) return format_float(static_cast<double>(*integer), spec);
    if (std::string_view("bcdoxXn").find(spec.type) == std::string_view::npos && spec.type != 0) reject();
    if (spec.precision) fail("Precision not allowed in integer format specifier");
    return format_integer(*integer, spec);
  }
  fail("unsupported format string passed to {}.__format__", type_name(value));
}

}  // namespace

Value percent_format(const Text& pattern, const Value& values, Budget& budget) {
  budget.charge(pattern.bytes.size());
  return Value::text(PercentFormatter(pattern, values, budget).run(), pattern.markup);
}

Value brace_format(Runtime& runtime, const Text& pattern, const Arguments& arguments) {
  runtime.budget.charge(pattern.bytes.size());
  return Value::text(BraceFormatter(runtime, arguments, pattern.markup).run(pattern.bytes, 0),
                     pattern.markup);
}

}  // namespace farthing::tokenizer::jinja
