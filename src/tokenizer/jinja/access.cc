#include "tokenizer/jinja/access.h"

#include <algorithm>
#include <array>

#include "tokenizer/jinja/builtin.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer::jinja {
namespace {

// Methods that would change their receiver; templates run in an immutable sandbox.
bool is_mutating(const Value& value, std::string_view name) {
  static constexpr std::array<std::string_view, 8> kList = {"append", "clear",  "extend",  "insert",
                                                            "pop",    "remove", "reverse", "sort"};
  static constexpr std::array<std::string_view, 5> kDict = {"clear", "pop", "popitem", "setdefault",
                                                            "update"};
  const Sequence* sequence = value.as_sequence();
  if (sequence && sequence->flavor == Sequence::Flavor::kList)
    return std::find(kList.begin(), kList.end(), name) != kList.end();
  return value.as_dict() && std::find(kDict.begin(), kDict.end(), name) != kDict.end();
}

std::optional<Value> python_attribute(Runtime& runtime, const Value& value, std::string_view name) {
  if (Object* object = value.as_object()) return object->attribute(runtime, name);
  if (is_mutating(value, name) || name.starts_with("__")) {
    return Value::undefined(
        fmt::format("access to attribute '{}' of '{}' object is unsafe.", name, type_name(value)));
  }
  const Sequence* sequence = value.as_sequence();
  if (sequence && sequence->flavor == Sequence::Flavor::kGroup && (name == "grouper" || name == "list")) {
    return sequence->items[name == "grouper" ? 0 : 1];
  }
  if (const Builtin* method = find_method(value, name)) return make_function(*method, value);
  return {};
}

std::optional<Value> element(Runtime& runtime, const Value& value, const Value& key) {
  if (const Dict* dict = value.as_dict()) {
    const bool hashable =
        !key.as_dict() && !(key.as_sequence() && key.as_sequence()->flavor != Sequence::Flavor::kTuple);
    const Value* found = hashable ? find_key(*dict, key, runtime.budget) : nullptr;
    return found ? std::optional(*found) : std::nullopt;
  }
  const auto index = key.as_integer();
  if (!index || (!value.as_sequence() && !value.is_text())) return {};
  if (value.as_sequence() && value.as_sequence()->flavor > Sequence::Flavor::kRange)
    return {};  // views of a dict
  if (const Text* text = value.as_text()) runtime.budget.charge(text->bytes.size());
  const auto length = static_cast<std::int64_t>(*length_of(value));
  const std::int64_t position = *index < 0 ? *index + length : *index;
  if (position < 0 || position >= length) return {};
  const auto at = static_cast<std::size_t>(position);
  if (const Text* text = value.as_text())
    return Value::text(slice_text(text->bytes, at, at + 1), text->markup);
  return value.as_sequence()->items[at];
}

std::string described_type(const Value& value) {
  return value.is_none() ? "None" : fmt::format("{} object", type_name(value));
}

// The positions that a Python slice of `length` items visits.
std::vector<std::size_t> slice_positions(std::size_t size, const Value& begin, const Value& end,
                                         const Value& step, Budget& budget) {
  const auto bound = [](const Value& value, std::int64_t otherwise) {
    if (value.is_none()) return otherwise;
    if (value.is_undefined()) fail("{}", value.complaint());
    const auto integer = value.as_integer();
    if (!integer) fail("slice indices must be integers or None or have an __index__ method");
    return *integer;
  };
  const auto length = static_cast<std::int64_t>(size);
  const std::int64_t stride = bound(step, 1);
  if (stride == 0) fail("slice step cannot be zero");
  const auto clamp = [&](std::int64_t position) {
    if (position < 0) position = std::max<std::int64_t>(position + length, stride < 0 ? -1 : 0);
    return std::min(position, stride < 0 ? length - 1 : length);
  };
  const std::int64_t first = begin.is_none() ? (stride < 0 ? length - 1 : 0) : clamp(bound(begin, 0));
  const std::int64_t last = end.is_none() ? (stride < 0 ? -1 : length) : clamp(bound(end, 0));
  std::vector<std::size_t> positions;
  for (std::int64_t at = first; stride > 0 ? at < last : at > last;) {
    budget.charge(sizeof(std::size_t));
    positions.push_back(static_cast<std::size_t>(at));
    if (__builtin_add_overflow(at, stride, &at)) break;
  }
  return positions;
}

}  // namespace

Value get_attribute(Runtime& runtime, const Value& value, std::string_view name) {
  if (value.is_undefined()) fail("{}", value.complaint());
  if (auto attribute = python_attribute(runtime, value, name)) return *attribute;
  if (value.as_dict()) {
    if (const Value* item = value.as_dict()->find(name, runtime.budget)) return *item;
  }
  return Value::undefined(fmt::format("'{}' has no attribute '{}'", described_type(value), name));
}

Value get_item(Runtime& runtime, const Value& value, const Value& key) {
  if (value.is_undefined()) fail("{}", value.complaint());
  if (auto item = element(runtime, value, key)) return *item;
  const Text* name = key.as_text();
  if (!name)
    return Value::undefined(
        fmt::format("{} has no element {}", described_type(value), repr(key, runtime.budget)));
  if (auto attribute = python_attribute(runtime, value, name->bytes)) return *attribute;
  return Value::undefined(fmt::format("'{}' has no attribute '{}'", described_type(value), name->bytes));
}

Value get_slice(Runtime& runtime, const Value& value, const Value& begin, const Value& end,
                const Value& step) {
  if (value.is_undefined()) fail("{}", value.complaint());
  if (const Text* text = value.as_text()) {
    runtime.budget.charge(text->bytes.size() * sizeof(char32_t));
    const std::u32string characters = code_points(text->bytes);
    std::string out;
    for (const std::size_t at : slice_positions(characters.size(), begin, end, step, runtime.budget))
      append_code_point(out, characters[at]);
    return Value::text(std::move(out), text->markup);
  }
  if (value.as_dict()) fail("unhashable type: 'slice'");
  const Sequence* sequence = value.as_sequence();
  if (!sequence || sequence->flavor > Sequence::Flavor::kRange)
    fail("'{}' object is not subscriptable", type_name(value));
  std::vector<Value> items;
  for (const std::size_t at : slice_positions(sequence->items.size(), begin, end, step, runtime.budget))
    items.push_back(sequence->items[at]);
  return Value::sequence(
      {sequence->flavor == Sequence::Flavor::kGroup ? Sequence::Flavor::kTuple : sequence->flavor,
       std::move(items)});
}

Value get_path(Runtime& runtime, Value value, const Value& path) {
  const Text* text = path.as_text();
  if (!text) return path.is_none() ? value : get_item(runtime, value, path);
  for (const std::string_view part : split_at(text->bytes, ".", -1, false)) {
    const bool number =
        !part.empty() && part.size() < 10 && part.find_first_not_of("0123456789") == std::string_view::npos;
    value =
        get_item(runtime, value, number ? Value::integer(std::stoll(std::string(part))) : Value::text(part));
  }
  return value;
}

}  // namespace farthing::tokenizer::jinja
