#include "tokenizer/jinja/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "tokenizer/jinja/object.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer::jinja {
namespace {

// Writes values as Python's repr() or as JSON; every byte is charged, because a few nested lists that share
// their items can print as terabytes.
class Printer {
 public:
  explicit Printer(Budget& budget) : budget_(budget) {}

  void repr(const Value& value);
  void json(const Value& value, const JsonStyle& style, int depth);
  std::string take() { return std::move(out_); }

 private:
  void put(std::string_view text) {
    budget_.charge(text.size());
    out_ += text;
  }

  void repr_text(const Text& text);
  void repr_sequence(const Sequence& sequence);
  void repr_items(const std::vector<Value>& items, std::string_view open, std::string_view close);
  void repr_dict(const Dict& dict);

  void json_text(std::string_view text, bool ensure_ascii);
  void json_list(const std::vector<Value>& items, const JsonStyle& style, int depth);
  void json_dict(const Dict& dict, const JsonStyle& style, int depth);
  void json_break(const JsonStyle& style, int depth);

  Budget& budget_;
  std::string out_;
};

void Printer::repr(const Value& value) {
  budget_.step();
  const Budget::Level level(budget_);
  switch (value.kind()) {
    case Kind::kUndefined:
      return put("Undefined");
    case Kind::kNone:
      return put("None");
    case Kind::kBoolean:
      return put(*value.as_boolean() ? "True" : "False");
    case Kind::kInteger:
      return put(std::to_string(*value.as_integer()));
    case Kind::kFloat:
      return put(float_text(*value.as_float()));
    case Kind::kText:
      return repr_text(*value.as_text());
    case Kind::kSequence:
      return repr_sequence(*value.as_sequence());
    case Kind::kDict:
      return repr_dict(*value.as_dict());
    case Kind::kGenerator:
      return put("<generator object>");
    case Kind::kObject:
      return put(value.as_object()->describe(budget_));
  }
}

void Printer::repr_text(const Text& text) {
  const bool has_single = text.bytes.find('\'') != std::string::npos;
  const bool has_double = text.bytes.find('"') != std::string::npos;
  const char32_t quote = has_single && !has_double ? '"' : '\'';
  std::string out(1, static_cast<char>(quote));
  for (std::size_t offset = 0; offset < text.bytes.size();) {
    const char32_t c = next_code_point(text.bytes, offset);
    if (c == quote || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (is_printable(c)) {
      append_code_point(out, c);
    } else {
      const auto number = static_cast<std::uint32_t>(c);
      out += c < 0x100     ? fmt::format("\\x{:02x}", number)
             : c < 0x10000 ? fmt::format("\\u{:04x}", number)
                           : fmt::format("\\U{:08x}", number);
    }
  }
  out += static_cast<char>(quote);
  put(text.markup ? fmt::format("Markup({})", out) : out);
}

void Printer::repr_sequence(const Sequence& sequence) {
  switch (sequence.flavor) {
    case Sequence::Flavor::kList:
      return repr_items(sequence.items, "[", "]");
    case Sequence::Flavor::kTuple:
    case Sequence::Flavor::kGroup:
      return repr_items(sequence.items, "(", sequence.items.size() == 1 ? ",)" : ")");
    case Sequence::Flavor::kItems:
      return repr_items(sequence.items, "dict_items([", "])");
    case Sequence::Flavor::kKeys:
      return repr_items(sequence.items, "dict_keys([", "])");
    case Sequence::Flavor::kValues:
      return repr_items(sequence.items, "dict_values([", "])");
    case Sequence::Flavor::kRange:
      break;
  }
  const auto& items = sequence.items;
  const std::int64_t first = items.empty() ? 0 : *items.front().as_integer();
  const std::int64_t step = items.size() < 2 ? 1 : *items[1].as_integer() - first;
  const std::int64_t stop = first + step * static_cast<std::int64_t>(items.size());
  put(step == 1 ? fmt::format("range({}, {})", first, stop)
                : fmt::format("range({}, {}, {})", first, stop, step));
}

void Printer::repr_items(const std::vector<Value>& items, std::string_view open, std::string_view close) {
  put(open);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) put(", ");
    repr(items[i]);
  }
  put(close);
}

void Printer::repr_dict(const Dict& dict) {
  put("{");
  for (std::size_t i = 0; i < dict.entries.size(); ++i) {
    if (i > 0) put(", ");
    repr(dict.entries[i].first);
    put(": ");
    repr(dict.entries[i].second);
  }
  put("}");
}

std::string json_number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return float_text(value);
}

void Printer::json(const Value& value, const JsonStyle& style, int depth) {
  budget_.step();
  const Budget::Level level(budget_);
  switch (value.kind()) {
    case Kind::kNone:
      return put("null");
    case Kind::kBoolean:
      return put(*value.as_boolean() ? "true" : "false");
    case Kind::kInteger:
      return put(std::to_string(*value.as_integer()));
    case Kind::kFloat:
      return put(json_number(*value.as_float()));
    case Kind::kText:
      return json_text(value.as_text()->bytes, style.ensure_ascii);
    case Kind::kDict:
      return json_dict(*value.as_dict(), style, depth);
    case Kind::kSequence:
      if (value.as_sequence()->flavor <= Sequence::Flavor::kGroup)
        return json_list(value.as_sequence()->items, style, depth);
      break;
    default:
      break;
  }
  fail("Object of type {} is not JSON serializable", type_name(value));
}

void Printer::json_text(std::string_view text, bool ensure_ascii) {
  std::string out = "\"";
  for (std::size_t offset = 0; offset < text.size();) {
    const char32_t c = next_code_point(text, offset);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      default:
        if (c < 0x20 || (ensure_ascii && c > 0x7E && c < 0x10000)) {
          out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c));
        } else if (ensure_ascii && c >= 0x10000) {
          const auto bits = static_cast<std::uint32_t>(c) - 0x10000;
          out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (bits >> 10), 0xDC00 + (bits & 0x3FF));
        } else {
          append_code_point(out, c);
        }
    }
  }
  put(out);
  put("\"");
}

void Printer::json_break(const JsonStyle& style, int depth) {
  if (!style.indent) return;
  put("\n");
  for (int i = 0; i < depth; ++i) put(*style.indent);
}

void Printer::json_list(const std::vector<Value>& items, const JsonStyle& style, int depth) {
  if (items.empty()) return put("[]");
  put("[");
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) put(style.item_separator);
    json_break(style, depth + 1);
    json(items[i], style, depth + 1);
  }
  json_break(style, depth);
  put("]");
}

// json.dumps turns numbers, booleans and None into text where they are keys.
std::string json_key(const Value& key) {
  switch (key.kind()) {
    case Kind::kText:
      return key.as_text()->bytes;
    case Kind::kNone:
      return "null";
    case Kind::kBoolean:
      return *key.as_boolean() ? "true" : "false";
    case Kind::kInteger:
      return std::to_string(*key.as_integer());
    case Kind::kFloat:
      return json_number(*key.as_float());
    default:
      fail("keys must be str, int, float, bool or None, not {}", type_name(key));
  }
}

void Printer::json_dict(const Dict& dict, const JsonStyle& style, int depth) {
  if (dict.entries.empty()) return put("{}");
  std::vector<std::pair<Value, Value>> entries = dict.entries;
  if (style.sort_keys) {
    std::stable_sort(entries.begin(), entries.end(), [&](const auto& a, const auto& b) {
      return compare(Comparator::kLess, a.first, b.first, budget_);
    });
  }
  put("{");
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (i > 0) put(style.item_separator);
    json_break(style, depth + 1);
    json_text(json_key(entries[i].first), style.ensure_ascii);
    put(style.key_separator);
    json(entries[i].second, style, depth + 1);
  }
  json_break(style, depth);
  put("}");
}

}  // namespace

std::string str(const Value& value, Budget& budget) {
  if (const Text* text = value.as_text()) return text->bytes;
  return value.is_undefined() ? "" : repr(value, budget);
}

std::string repr(const Value& value, Budget& budget) {
  Printer printer(budget);
  printer.repr(value);
  return printer.take();
}

std::string to_json_text(const Value& value, const JsonStyle& style, Budget& budget) {
  Printer printer(budget);
  printer.json(value, style, 0);
  return printer.take();
}

std::string float_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const auto plain = [&](std::chars_format format) {
    return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, value, format).ptr);
  };
  const double size = std::abs(value);
  if (size != 0 && (size < 1e-4 || size >= 1e16)) return plain(std::chars_format::scientific);
  std::string text = plain(std::chars_format::fixed);
  if (text.find('.') == std::string::npos) text += ".0";
  return text;
}

}  // namespace farthing::tokenizer::jinja
