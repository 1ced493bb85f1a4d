// The filters that change text or make it.
#include <algorithm>

#include "tokenizer/jinja/builtin.h"
#include "tokenizer/jinja/format.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/text.h"
#include "tokenizer/jinja/word_wrap.h"

namespace farthing::tokenizer::jinja {
namespace {

// Text as it is, with its mark; anything else printed.
Value soft_text(Runtime& runtime, const Value& value) {
  return value.is_text() ? value : Value::text(str(value, runtime.budget));
}

bool is_markup(const Value& value) {
  return value.is_text() && value.as_text()->markup;
}

template <std::string (*Change)(std::string_view)>
Value changed(Runtime& runtime, const Value& self, const Bound&) {
  return Value::text(Change(str(self, runtime.budget)), is_markup(self));
}

Value escape(Runtime& runtime, const Value& self, const Bound&) {
  return is_markup(self) ? self : Value::text(escape_html(str(self, runtime.budget)), true);
}

Value forceescape(Runtime& runtime, const Value& self, const Bound&) {
  return Value::text(escape_html(str(self, runtime.budget)), true);
}
Value safe(Runtime& runtime, const Value& self, const Bound&) {
  return Value::text(str(self, runtime.budget), true);
}
Value string(Runtime& runtime, const Value& self, const Bound&) {
  return soft_text(runtime, self);
}

Value trim(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string text = str(self, runtime.budget);
  const std::string characters = arguments.has(0) ? arguments.text(0) : "";
  const std::string_view set = characters;
  return Value::text(strip(text, arguments.has(0) ? &set : nullptr, Side::kBoth), is_markup(self));
}

// Unlike str.title, a word starts only after white space, a hyphen or an opening bracket.
Value title(Runtime& runtime, const Value& self, const Bound&) {
  const std::string text = str(self, runtime.budget);
  std::string out;
  std::string word;
  const auto flush = [&] {
    const std::string_view first = slice_text(word, 0, 1);
    out += to_upper(first) + to_lower(std::string_view(word).substr(first.size()));
    word.clear();
  };
  for (std::size_t offset = 0; offset < text.size();) {
    const char32_t c = next_code_point(text, offset);
    if (is_space(c) || std::u32string_view(U"-({[<").find(c) != std::u32string_view::npos) {
      flush();
      append_code_point(out, c);
    } else {
      append_code_point(word, c);
    }
  }
  flush();
  return Value::text(std::move(out));
}

Value replace(Runtime& runtime, const Value& self, const Bound& arguments) {
  const auto limit = static_cast<long>(arguments.has(2) ? arguments.integer(2) : -1);
  return Value::text(replace_text(str(self, runtime.budget), str(arguments.value(0), runtime.budget),
                                  str(arguments.value(1), runtime.budget), limit, runtime.budget));
}

Value center(Runtime& runtime, const Value& self, const Bound& arguments) {
  const Value text = soft_text(runtime, self);
  const Value centered =
      apply(runtime, *find_method(text, "center"), text, {{Value::integer(arguments.integer(0, 80))}, {}});
  return Value::text(centered.as_text()->bytes, is_markup(self));
}

Value format(Runtime& runtime, const Value& self, const Bound& arguments) {
  const Arguments& all = arguments.all();
  if (!all.positional.empty() && !all.named.empty())
    fail("can't handle positional and keyword arguments at the same time");
  const Value pattern = soft_text(runtime, self);
  if (all.named.empty())
    return percent_format(*pattern.as_text(), Value::tuple(all.positional), runtime.budget);
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [name, value] : all.named) entries.emplace_back(Value::text(name), value);
  return percent_format(*pattern.as_text(), Value::dict(std::move(entries)), runtime.budget);
}

// A margin is given as text or as a number of blanks.
std::string margin_of(const Value& width, Runtime& runtime) {
  if (const Text* text = width.as_text()) return text->bytes;
  const Value blanks = arithmetic(BinaryOperator::kMultiply, Value::text(" "), width, runtime.budget);
  const Text* text = blanks.as_text();
  return text != nullptr ? text->bytes : std::string();
}

Value indent(Runtime& runtime, const Value& self, const Bound& arguments) {
  if (!self.is_text()) fail("unsupported operand type(s) for +=: '{}' and 'str'", type_name(self));
  const std::string margin = margin_of(arguments.has(0) ? arguments.value(0) : Value::integer(4), runtime);
  const bool first = arguments.truth(1);
  const bool blank = arguments.truth(2);
  const std::string text = self.as_text()->bytes + "\n";
  std::string out = first ? margin : "";
  bool is_first = true;
  for (const std::string_view line : split_lines(text, false)) {
    const bool indented = !is_first && (blank || !line.empty());
    const std::string piece = fmt::format("{}{}{}", is_first ? "" : "\n", indented ? margin : "", line);
    runtime.budget.charge(piece.size());
    out += piece;
    is_first = false;
  }
  return Value::text(std::move(out), is_markup(self));
}

Value truncate(Runtime&, const Value& self, const Bound& arguments) {
  const auto full_length = length_of(self);
  if (!full_length) fail("object of type '{}' has no len()", type_name(self));
  const std::int64_t length = arguments.integer(0, 255);
  const std::string end = arguments.text(2, "...");
  const std::int64_t leeway = arguments.has(3) ? arguments.integer(3) : 5;
  const auto end_length = static_cast<std::int64_t>(text_length(end));
  if (length < end_length) fail("expected length >= {}, got {}", end_length, length);
  if (leeway < 0) fail("expected leeway >= 0, got {}", leeway);
  const auto size = static_cast<std::int64_t>(*full_length);
  if (size <= length || size - length <= leeway) return self;
  if (!self.is_text()) fail("a {} cannot be truncated", type_name(self));
  const std::string& text = self.as_text()->bytes;
  std::string_view kept = slice_text(text, 0, static_cast<std::size_t>(length - end_length));
  if (!arguments.truth(1)) kept = kept.substr(0, kept.rfind(' '));
  return Value::text(std::string(kept) + (is_markup(self) ? escape_html(end) : end), is_markup(self));
}

Value wordwrap(Runtime& runtime, const Value& self, const Bound& arguments) {
  if (!self.is_text()) fail("'{}' object has no attribute 'splitlines'", type_name(self));
  const std::int64_t width = arguments.integer(0, 79);
  if (width <= 0) fail("invalid width {} (must be > 0)", width);
  const WrapStyle style{static_cast<std::size_t>(width), arguments.truth(1, true), arguments.truth(3, true)};
  const std::string separator = arguments.has(2) ? arguments.text(2) : "\n";
  std::string out;
  bool first = true;
  for (const std::string_view paragraph : split_lines(self.as_text()->bytes, false)) {
    std::vector<std::string> lines = wrap_words(paragraph, style);
    if (lines.empty()) lines.emplace_back();
    for (const std::string& line : lines) {
      const std::string piece = (first ? "" : separator) + line;
      runtime.budget.charge(piece.size());
      out += piece;
      first = false;
    }
  }
  return Value::text(std::move(out));
}

Value wordcount(Runtime& runtime, const Value& self, const Bound&) {
  std::int64_t count = 0;
  bool inside = false;
  for (const char32_t c : code_points(str(self, runtime.budget))) {
    const bool word = c == '_' || is_letter(c) || is_numeric(c);
    count += word && !inside ? 1 : 0;
    inside = word;
  }
  return Value::integer(count);
}

std::string quote_url(std::string_view text, bool in_query) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("_.-~").find(c) != std::string_view::npos;
    if (plain || (c == '/' && !in_query)) {
      out += c;
    } else {
      out += in_query && c == ' ' ? "+" : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

Value urlencode(Runtime& runtime, const Value& self, const Bound&) {
  if (self.is_text() || !is_iterable(self)) return Value::text(quote_url(str(self, runtime.budget), false));
  const Value pairs = self.as_dict() ? apply(runtime, *find_method(self, "items"), self, {}) : self;
  std::string out;
  for (const Value& pair : drain(pairs, runtime.budget)) {
    const std::vector<Value> parts = drain(pair, runtime.budget);
    if (parts.size() != 2) fail("expected pairs of name and value to encode");
    if (!out.empty()) out += '&';
    out +=
        quote_url(str(parts[0], runtime.budget), true) + "=" + quote_url(str(parts[1], runtime.budget), true);
  }
  return Value::text(std::move(out));
}

// Takes away everything from each `open` to the `close` after it.
std::string without_spans(std::string text, std::string_view open, std::string_view close) {
  std::string out;
  std::size_t at = 0;
  while (true) {
    const std::size_t start = text.find(open, at);
    const std::size_t end = start == std::string::npos ? start : text.find(close, start);
    if (end == std::string::npos) return out + text.substr(at);
    out += text.substr(at, start - at);
    at = end + close.size();
  }
}

Value striptags(Runtime& runtime, const Value& self, const Bound&) {
  const std::string bare = without_spans(without_spans(str(self, runtime.budget), "<!--", "-->"), "<", ">");
  std::string out;
  for (const std::string_view word : split_at_spaces(bare, -1, false))
    out += fmt::format("{}{}", out.empty() ? "" : " ", word);
  constexpr std::pair<const char*, const char*> kEntities[] = {
      {"&lt;", "<"},  {"&gt;", ">"},        {"&quot;", "\""}, {"&#34;", "\""},
      {"&#39;", "'"}, {"&nbsp;", "\u00a0"}, {"&amp;", "&"}};
  for (const auto& [entity, character] : kEntities)
    out = replace_text(out, entity, character, -1, runtime.budget);
  return Value::text(std::move(out));
}

Value xmlattr(Runtime& runtime, const Value& self, const Bound& arguments) {
  const Dict* dict = self.as_dict();
  if (!dict) fail("'{}' object has no attribute 'items'", type_name(self));
  std::string out;
  for (const auto& [key, value] : dict->entries) {
    if (value.is_none() || value.is_undefined()) continue;
    const std::string name = str(key, runtime.budget);
    if (name.find_first_of(" \t\n\r\f\v/>=") != std::string::npos)
      fail("Invalid character in attribute name: {}", repr(key, runtime.budget));
    const std::string text = str(value, runtime.budget);
    out += fmt::format("{}{}=\"{}\"", out.empty() ? "" : " ", escape_html(name),
                       is_markup(value) ? text : escape_html(text));
  }
  return Value::text(arguments.truth(0, true) && !out.empty() ? " " + out : out);
}

// As transformers defines it for chat templates: plain json.dumps, nothing escaped for HTML, keys in their
// order.
Value tojson(Runtime& runtime, const Value& self, const Bound& arguments) {
  JsonStyle style;
  style.ensure_ascii = arguments.truth(0);
  style.sort_keys = arguments.truth(3);
  if (arguments.has(1)) {
    style.indent = margin_of(arguments.value(1), runtime);
    style.item_separator.pop_back();  // no blank before the end of a line
  }
  if (arguments.has(2)) {
    const std::vector<Value> separators = drain(arguments.value(2), runtime.budget);
    if (separators.size() != 2) fail("separators has to be a pair (item_separator, key_separator)");
    style.item_separator = str(separators[0], runtime.budget);
    style.key_separator = str(separators[1], runtime.budget);
  }
  return Value::text(to_json_text(self, style, runtime.budget));
}

}  // namespace

const std::vector<Builtin>& text_filters() {
  static const std::vector<Builtin> filters = {
      {"capitalize", {}, 0, changed<jinja::capitalize>},
      {"center", {"width"}, 0, center},
      {"e", {}, 0, escape},
      {"escape", {}, 0, escape},
      {"forceescape", {}, 0, forceescape},
      {"format", {}, 0, format, true},
      {"indent", {"width", "first", "blank"}, 0, indent},
      {"lower", {}, 0, changed<to_lower>},
      {"replace", {"old", "new", "count"}, 2, replace},
      {"safe", {}, 0, safe},
      {"string", {}, 0, string},
      {"striptags", {}, 0, striptags},
      {"title", {}, 0, title},
      {"tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}, 0, tojson},
      {"trim", {"chars"}, 0, trim},
      {"truncate", {"length", "killwords", "end", "leeway"}, 0, truncate},
      {"upper", {}, 0, changed<to_upper>},
      {"urlencode", {}, 0, urlencode},
      {"wordcount", {}, 0, wordcount},
      {"wordwrap", {"width", "break_long_words", "wrapstring", "break_on_hyphens"}, 0, wordwrap},
      {"xmlattr", {"autospace"}, 0, xmlattr},
  };
  return filters;
}

}  // namespace farthing::tokenizer::jinja
