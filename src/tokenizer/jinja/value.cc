#include "tokenizer/jinja/value.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "tokenizer/jinja/object.h"

namespace farthing::tokenizer::jinja {
namespace {

Value from_json_number(const Json& json) {
  if (json.is_number_float()) return Value::real(json.get<double>());
  if (json.is_number_unsigned() && json.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) {
    return Value::real(json.get<double>());
  }
  return Value::integer(json.get<std::int64_t>());
}

Value from_json_below(const Json& json, int depth) {
  FARTHING_REQUIRE(depth < Value::kMaxNesting || !json.is_structured(), Code::kInvalidArgument,
                   "the messages nest too deeply for a chat template", {{"limit", Value::kMaxNesting}},
                   "flatten them");
  if (json.is_object()) {
    std::vector<std::pair<Value, Value>> entries;
    entries.reserve(json.size());
    for (const auto& [key, value] : json.items())
      entries.emplace_back(Value::text(key), from_json_below(value, depth + 1));
    return Value::dict(std::move(entries));
  }
  if (json.is_array()) {
    std::vector<Value> items;
    items.reserve(json.size());
    for (const Json& item : json) items.push_back(from_json_below(item, depth + 1));
    return Value::list(std::move(items));
  }
  if (json.is_string()) return Value::text(json.get_ref<const std::string&>());
  if (json.is_boolean()) return Value::boolean(json.get<bool>());
  if (json.is_number()) return from_json_number(json);
  return Value::none();
}

}  // namespace

int nesting_above(int nesting) {
  if (nesting >= Value::kMaxNesting) fail("values nest more than {} deep", Value::kMaxNesting);
  return nesting + 1;
}

Value Value::undefined(std::string complaint) {
  return Value(Data(Undefined{std::make_shared<const std::string>(std::move(complaint))}));
}

Value Value::text(std::string bytes, bool markup) {
  return Value(Data(std::make_shared<const Text>(Text{std::move(bytes), markup})));
}

Value Value::list(std::vector<Value> items) {
  return sequence({Sequence::Flavor::kList, std::move(items)});
}
Value Value::tuple(std::vector<Value> items) {
  return sequence({Sequence::Flavor::kTuple, std::move(items)});
}

Value Value::sequence(Sequence sequence) {
  for (const Value& item : sequence.items) sequence.nesting = std::max(sequence.nesting, item.nesting());
  sequence.nesting = nesting_above(sequence.nesting);
  return Value(Data(std::make_shared<const Sequence>(std::move(sequence))));
}

Value Value::dict(std::vector<std::pair<Value, Value>> entries) {
  Dict dict{std::move(entries)};
  for (const auto& [key, value] : dict.entries)
    dict.nesting = std::max({dict.nesting, key.nesting(), value.nesting()});
  dict.nesting = nesting_above(dict.nesting);
  return Value(Data(std::make_shared<const Dict>(std::move(dict))));
}

Value Value::generator(Generator generator) {
  generator.nesting = nesting_above(generator.nesting);
  return Value(Data(std::make_shared<Generator>(std::move(generator))));
}

Value Value::from_json(const Json& json) {
  return from_json_below(json, 0);
}

const std::string& Value::complaint() const {
  static const std::string unknown = "the value is undefined";
  const auto* undefined = std::get_if<Undefined>(&data_);
  return undefined && undefined->complaint ? *undefined->complaint : unknown;
}

std::optional<std::int64_t> Value::as_integer() const {
  if (const auto* integer = std::get_if<std::int64_t>(&data_)) return *integer;
  if (const bool* boolean = as_boolean()) return *boolean ? 1 : 0;
  return {};
}

std::optional<double> Value::as_number() const {
  if (const double* real = as_float()) return *real;
  if (const auto integer = as_integer()) return static_cast<double>(*integer);
  return {};
}

bool Value::truth() const {
  switch (kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBoolean:
    case Kind::kInteger:
    case Kind::kFloat:
      return *as_number() != 0;
    case Kind::kText:
      return !as_text()->bytes.empty();
    case Kind::kSequence:
      return !as_sequence()->items.empty();
    case Kind::kDict:
      return !as_dict()->entries.empty();
    case Kind::kGenerator:
    case Kind::kObject:
      return true;
  }
  return true;
}

int Value::nesting() const {
  switch (kind()) {
    case Kind::kSequence:
      return as_sequence()->nesting;
    case Kind::kDict:
      return as_dict()->nesting;
    case Kind::kGenerator:
      return as_generator()->nesting;
    case Kind::kObject:
      return as_object()->nesting();
    default:
      return 0;
  }
}

bool Value::same_as(const Value& other) const {
  if (kind() != other.kind()) return false;
  switch (kind()) {
    case Kind::kUndefined:
      return complaint() == other.complaint();
    case Kind::kNone:
      return true;
    case Kind::kBoolean:
    case Kind::kInteger:
      return as_integer() == other.as_integer();
    case Kind::kFloat:
      return as_number() == other.as_number();
    case Kind::kText:
      return as_text() == other.as_text() || as_text()->bytes == other.as_text()->bytes;
    case Kind::kSequence:
      return as_sequence() == other.as_sequence();
    case Kind::kDict:
      return as_dict() == other.as_dict();
    case Kind::kGenerator:
      return as_generator() == other.as_generator();
    case Kind::kObject:
      return as_object() == other.as_object();
  }
  return false;
}

const Value* Dict::find(std::string_view key, Budget& budget) const {
  budget.charge(entries.size());
  for (const auto& [name, value] : entries) {
    if (const Text* text = name.as_text(); text && text->bytes == key) return &value;
  }
  return nullptr;
}

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBoolean:
      return "bool";
    case Kind::kInteger:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kText:
      return value.as_text()->markup ? "Markup" : "str";
    case Kind::kDict:
      return "dict";
    case Kind::kGenerator:
      return "generator";
    case Kind::kObject:
      return value.as_object()->type_name();
    case Kind::kSequence:
      break;
  }
  switch (value.as_sequence()->flavor) {
    case Sequence::Flavor::kList:
      return "list";
    case Sequence::Flavor::kTuple:
      return "tuple";
    case Sequence::Flavor::kGroup:
      return "_GroupTuple";
    case Sequence::Flavor::kRange:
      return "range";
    case Sequence::Flavor::kItems:
      return "dict_items";
    case Sequence::Flavor::kKeys:
      return "dict_keys";
    case Sequence::Flavor::kValues:
      return "dict_values";
  }
  return "object";
}

}  // namespace farthing::tokenizer::jinja
