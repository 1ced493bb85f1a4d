// The methods of Python's str.
#include <algorithm>

#include "tokenizer/jinja/builtin.h"
#include "tokenizer/jinja/format.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer::jinja {
namespace {

const std::string& bytes(const Value& self) {
  return self.as_text()->bytes;
}

// An argument that becomes part of the result: text that is marked safe escapes it.
std::string inserted(const Value& self, const Bound& arguments, std::size_t i,
                     std::string_view otherwise = {}) {
  const std::string text = arguments.text(i, otherwise);
  const bool safe = arguments.has(i) && arguments.value(i).as_text()->markup;
  return self.as_text()->markup && !safe ? escape_html(text) : text;
}

Value text_list(const std::vector<std::string_view>& pieces, Budget& budget) {
  budget.charge(pieces.size() * 2 * sizeof(Value));
  std::vector<Value> items;
  for (const std::string_view piece : pieces) items.push_back(Value::text(piece));
  return Value::list(std::move(items));
}

template <std::string (*Change)(std::string_view)>
Value changed(Runtime&, const Value& self, const Bound&) {
  return Value::text(Change(bytes(self)));
}

template <Side side>
Value stripped(Runtime&, const Value& self, const Bound& arguments) {
  if (!arguments.has(0)) return Value::text(strip(bytes(self), nullptr, side));
  const std::string characters = arguments.text(0);
  const std::string_view set = characters;
  return Value::text(strip(bytes(self), &set, side));
}

template <bool from_right>
Value split(Runtime& runtime, const Value& self, const Bound& arguments) {
  const long limit = static_cast<long>(arguments.integer(1, -1));
  if (!arguments.has(0)) return text_list(split_at_spaces(bytes(self), limit, from_right), runtime.budget);
  const std::string separator = arguments.text(0);
  if (separator.empty()) fail("empty separator");
  return text_list(split_at(bytes(self), separator, limit, from_right), runtime.budget);
}

Value splitlines(Runtime& runtime, const Value& self, const Bound& arguments) {
  return text_list(split_lines(bytes(self), arguments.truth(0)), runtime.budget);
}

template <bool from_right>
Value partition(Runtime&, const Value& self, const Bound& arguments) {
  const std::string& text = bytes(self);
  const std::string separator = arguments.text(0);
  if (separator.empty()) fail("empty separator");
  const std::size_t at = from_right ? text.rfind(separator) : text.find(separator);
  if (at == std::string::npos) {
    return from_right ? Value::tuple({Value::text(""), Value::text(""), Value::text(text)})
                      : Value::tuple({Value::text(text), Value::text(""), Value::text("")});
  }
  return Value::tuple({Value::text(text.substr(0, at)), Value::text(separator),
                       Value::text(text.substr(at + separator.size()))});
}

Value replace(Runtime& runtime, const Value& self, const Bound& arguments) {
  return Value::text(replace_text(bytes(self), arguments.text(0), inserted(self, arguments, 1),
                                  static_cast<long>(arguments.integer(2, -1)), runtime.budget));
}

// Text that is marked safe prints and escapes what it joins.
Value join(Runtime& runtime, const Value& self, const Bound& arguments) {
  const bool markup = self.as_text()->markup;
  const auto joined = [&](const Value& item, std::size_t index) {
    if (!markup && !item.is_text())
      fail("sequence item {}: expected str instance, {} found", index, type_name(item));
    const std::string text = str(item, runtime.budget);
    return markup && !(item.is_text() && item.as_text()->markup) ? escape_html(text) : text;
  };
  std::string out;
  const Iterator next = iterate(arguments.value(0));
  std::size_t index = 0;
  while (const auto item = next()) {
    const std::string piece = index == 0 ? joined(*item, index) : bytes(self) + joined(*item, index);
    runtime.budget.charge(piece.size() + sizeof(Value));
    out += piece;
    ++index;
  }
  return Value::text(std::move(out));
}

// The part of the text that optional arguments `start` and `end` leave to search.
struct Window {
  std::string_view text;
  std::size_t start;  // in code points
};

std::optional<Window> window(const Value& self, const Bound& arguments) {
  const auto length = static_cast<std::int64_t>(text_length(bytes(self)));
  const auto position = [&](std::size_t i, std::int64_t otherwise) {
    const std::int64_t at = arguments.has(i) ? arguments.integer(i) : otherwise;
    return at < 0 ? std::max<std::int64_t>(at + length, 0) : at;
  };
  const std::int64_t start = position(1, 0);
  const std::int64_t end = std::min(position(2, length), length);
  if (start > end) return {};
  return Window{slice_text(bytes(self), static_cast<std::size_t>(start), static_cast<std::size_t>(end)),
                static_cast<std::size_t>(start)};
}

template <bool at_start>
Value has_affix(Runtime&, const Value& self, const Bound& arguments) {
  const auto part = window(self, arguments);
  const auto matches = [&](const Value& affix) {
    const Text* text = affix.as_text();
    if (!text)
      fail("{} first arg must be str or a tuple of str, not {}", at_start ? "startswith" : "endswith",
           type_name(affix));
    return part && (at_start ? part->text.starts_with(text->bytes) : part->text.ends_with(text->bytes));
  };
  const Value affix = arguments.value(0);
  const Sequence* choices = affix.as_sequence();
  if (!choices || choices->flavor != Sequence::Flavor::kTuple) return Value::boolean(matches(affix));
  return Value::boolean(std::any_of(choices->items.begin(), choices->items.end(), matches));
}

template <bool from_right>
std::int64_t position_of(const Value& self, const Bound& arguments) {
  const std::string part = arguments.text(0);
  const auto searched = window(self, arguments);
  if (!searched) return -1;
  const std::size_t at = from_right ? searched->text.rfind(part) : searched->text.find(part);
  if (at == std::string_view::npos) return -1;
  return static_cast<std::int64_t>(searched->start + text_length(searched->text.substr(0, at)));
}

template <bool from_right>
Value find(Runtime&, const Value& self, const Bound& arguments) {
  return Value::integer(position_of<from_right>(self, arguments));
}

template <bool from_right>
Value index(Runtime&, const Value& self, const Bound& arguments) {
  const std::int64_t at = position_of<from_right>(self, arguments);
  if (at < 0) fail("substring not found");
  return Value::integer(at);
}

Value count(Runtime&, const Value& self, const Bound& arguments) {
  const std::string part = arguments.text(0);
  const auto searched = window(self, arguments);
  return Value::integer(searched ? static_cast<std::int64_t>(count_occurrences(searched->text, part)) : 0);
}

// ljust, rjust and center; `left` of the missing characters go to the left.
Value justified(Runtime& runtime, const Value& self, const Bound& arguments,
                std::size_t (*left)(std::size_t missing, std::size_t width)) {
  const std::string fill = inserted(self, arguments, 1, " ");
  if (arguments.has(1) && text_length(arguments.text(1)) != 1)
    fail("The fill character must be exactly one character long");
  const auto width = static_cast<std::size_t>(std::max<std::int64_t>(arguments.integer(0), 0));
  const std::size_t length = text_length(bytes(self));
  if (width <= length) return Value::text(bytes(self));
  runtime.budget.charge(width);
  const std::size_t before = left(width - length, width);
  std::string out;
  for (std::size_t i = 0; i < before; ++i) out += fill;
  out += bytes(self);
  for (std::size_t i = before; i < width - length; ++i) out += fill;
  return Value::text(std::move(out));
}

Value ljust(Runtime& runtime, const Value& self, const Bound& arguments) {
  return justified(runtime, self, arguments, [](std::size_t, std::size_t) { return std::size_t{0}; });
}

Value rjust(Runtime& runtime, const Value& self, const Bound& arguments) {
  return justified(runtime, self, arguments, [](std::size_t missing, std::size_t) { return missing; });
}

// Python's choice for an odd number of missing characters.
Value center(Runtime& runtime, const Value& self, const Bound& arguments) {
  return justified(runtime, self, arguments, [](std::size_t missing, std::size_t width) {
    return missing / 2 + (missing & width & 1);
  });
}

Value zfill(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string& text = bytes(self);
  const auto width = static_cast<std::size_t>(std::max<std::int64_t>(arguments.integer(0), 0));
  const std::size_t length = text_length(text);
  if (width <= length) return Value::text(text);
  runtime.budget.charge(width);
  const std::size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  return Value::text(text.substr(0, sign) + std::string(width - length, '0') + text.substr(sign));
}

Value expandtabs(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::int64_t size = arguments.integer(0, 8);
  std::string out;
  std::int64_t column = 0;
  for (std::size_t offset = 0; offset < bytes(self).size();) {
    const char32_t c = next_code_point(bytes(self), offset);
    if (c == '\t') {
      const std::int64_t spaces = size > 0 ? size - column % size : 0;
      runtime.budget.charge(static_cast<std::size_t>(spaces));
      out.append(static_cast<std::size_t>(spaces), ' ');
      column += spaces;
    } else {
      append_code_point(out, c);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
  }
  return Value::text(std::move(out));
}

Value removeprefix(Runtime&, const Value& self, const Bound& arguments) {
  const std::string prefix = arguments.text(0);
  return Value::text(bytes(self).starts_with(prefix) ? bytes(self).substr(prefix.size()) : bytes(self));
}

Value removesuffix(Runtime&, const Value& self, const Bound& arguments) {
  const std::string suffix = arguments.text(0);
  return Value::text(bytes(self).ends_with(suffix) ? bytes(self).substr(0, bytes(self).size() - suffix.size())
                                                   : bytes(self));
}

Value format(Runtime& runtime, const Value& self, const Bound& arguments) {
  return brace_format(runtime, *self.as_text(), arguments.all());
}

template <bool (*Holds)(char32_t)>
Value all_are(Runtime&, const Value& self, const Bound&) {
  const std::u32string characters = code_points(bytes(self));
  return Value::boolean(!characters.empty() && std::all_of(characters.begin(), characters.end(), Holds));
}

bool is_alphanumeric(char32_t c) {
  return is_letter(c) || is_numeric(c);
}
bool is_ascii(char32_t c) {
  return c < 0x80;
}

Value isascii(Runtime&, const Value& self, const Bound&) {
  const std::u32string characters = code_points(bytes(self));
  return Value::boolean(std::all_of(characters.begin(), characters.end(), is_ascii));
}

Value isprintable(Runtime&, const Value& self, const Bound&) {
  const std::u32string characters = code_points(bytes(self));
  return Value::boolean(std::all_of(characters.begin(), characters.end(), is_printable));
}

template <bool (*Holds)(std::string_view)>
Value text_is(Runtime&, const Value& self, const Bound&) {
  return Value::boolean(Holds(bytes(self)));
}

Value istitle(Runtime&, const Value& self, const Bound&) {
  bool any = false;
  bool after_cased = false;
  for (const char32_t c : code_points(bytes(self))) {
    if (is_cased(c) && is_lower(c) != after_cased) return Value::boolean(false);
    after_cased = is_cased(c);
    any = any || after_cased;
  }
  return Value::boolean(any);
}

Value isidentifier(Runtime&, const Value& self, const Bound&) {
  const std::u32string characters = code_points(bytes(self));
  const auto start = [](char32_t c) { return c == '_' || is_letter(c); };
  return Value::boolean(!characters.empty() && start(characters[0]) &&
                        std::all_of(characters.begin(), characters.end(),
                                    [&](char32_t c) { return start(c) || is_decimal(c); }));
}

}  // namespace

const std::vector<Builtin>& text_methods() {
  static const std::vector<Builtin> methods = {
      {"capitalize", {}, 0, changed<jinja::capitalize>},
      {"casefold", {}, 0, changed<fold_case>},
      {"center", {"width", "fillchar"}, 1, center},
      {"count", {"sub", "start", "end"}, 1, count},
      {"endswith", {"suffix", "start", "end"}, 1, has_affix<false>},
      {"expandtabs", {"tabsize"}, 0, expandtabs},
      {"find", {"sub", "start", "end"}, 1, find<false>},
      {"format", {}, 0, format, true},
      {"index", {"sub", "start", "end"}, 1, index<false>},
      {"isalnum", {}, 0, all_are<is_alphanumeric>},
      {"isalpha", {}, 0, all_are<is_letter>},
      {"isascii", {}, 0, isascii},
      {"isdecimal", {}, 0, all_are<is_decimal>},
      {"isdigit", {}, 0, all_are<is_digit>},
      {"isidentifier", {}, 0, isidentifier},
      {"islower", {}, 0, text_is<is_all_lower>},
      {"isnumeric", {}, 0, all_are<is_numeric>},
      {"isprintable", {}, 0, isprintable},
      {"isspace", {}, 0, all_are<is_space>},
      {"istitle", {}, 0, istitle},
      {"isupper", {}, 0, text_is<is_all_upper>},
      {"join", {"iterable"}, 1, join},
      {"ljust", {"width", "fillchar"}, 1, ljust},
      {"lower", {}, 0, changed<to_lower>},
      {"lstrip", {"chars"}, 0, stripped<Side::kLeft>},
      {"partition", {"sep"}, 1, partition<false>},
      {"removeprefix", {"prefix"}, 1, removeprefix},
      {"removesuffix", {"suffix"}, 1, removesuffix},
      {"replace", {"old", "new", "count"}, 2, replace},
      {"rfind", {"sub", "start", "end"}, 1, find<true>},
      {"rindex", {"sub", "start", "end"}, 1, index<true>},
      {"rjust", {"width", "fillchar"}, 1, rjust},
      {"rpartition", {"sep"}, 1, partition<true>},
      {"rsplit", {"sep", "maxsplit"}, 0, split<true>},
      {"rstrip", {"chars"}, 0, stripped<Side::kRight>},
      {"split", {"sep", "maxsplit"}, 0, split<false>},
      {"splitlines", {"keepends"}, 0, splitlines},
      {"startswith", {"prefix", "start", "end"}, 1, has_affix<true>},
      {"strip", {"chars"}, 0, stripped<Side::kBoth>},
      {"swapcase", {}, 0, changed<swap_case>},
      {"title", {}, 0, changed<to_title>},
      {"upper", {}, 0, changed<to_upper>},
      {"zfill", {"width"}, 1, zfill},
  };
  return methods;
}

}  // namespace farthing::tokenizer::jinja
