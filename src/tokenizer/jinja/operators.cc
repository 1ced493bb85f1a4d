#include "tokenizer/jinja/operators.h"

#include <algorithm>
#include <cmath>

#include "tokenizer/jinja/format.h"
#include "tokenizer/jinja/object.h"
#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer::jinja {
namespace {

constexpr std::size_t kOwnedItemBytes = 64;  // an item with the text it may own

std::string_view symbol(Comparator comparator) {
  switch (comparator) {
    case Comparator::kEqual:
      return "==";
    case Comparator::kNotEqual:
      return "!=";
    case Comparator::kLess:
      return "<";
    case Comparator::kLessEqual:
      return "<=";
    case Comparator::kGreater:
      return ">";
    case Comparator::kGreaterEqual:
      return ">=";
    case Comparator::kIn:
      return "in";
    case Comparator::kNotIn:
      return "not in";
  }
  return "?";
}

std::string_view symbol(BinaryOperator op) {
  switch (op) {
    case BinaryOperator::kAdd:
      return "+";
    case BinaryOperator::kSubtract:
      return "-";
    case BinaryOperator::kMultiply:
      return "*";
    case BinaryOperator::kDivide:
      return "/";
    case BinaryOperator::kFloorDivide:
      return "//";
    case BinaryOperator::kModulo:
      return "%";
    case BinaryOperator::kPower:
      return "**";
  }
  return "?";
}

template <typename T>
bool ordered(Comparator comparator, const T& left, const T& right) {
  switch (comparator) {
    case Comparator::kLess:
      return left < right;
    case Comparator::kLessEqual:
      return left <= right;
    case Comparator::kGreater:
      return left > right;
    default:
      return left >= right;
  }
}

bool is_tuple(const Sequence& sequence) {
  return sequence.flavor == Sequence::Flavor::kTuple || sequence.flavor == Sequence::Flavor::kGroup;
}

bool same_class(const Sequence& left, const Sequence& right) {
  return left.flavor == right.flavor || (is_tuple(left) && is_tuple(right));
}

bool equal_items(const std::vector<Value>& left, const std::vector<Value>& right, Budget& budget) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [&](const Value& a, const Value& b) { return equal(a, b, budget); });
}

bool equal_dicts(const Dict& left, const Dict& right, Budget& budget) {
  if (left.entries.size() != right.entries.size()) return false;
  return std::all_of(left.entries.begin(), left.entries.end(), [&](const auto& entry) {
    const Value* other = find_key(right, entry.first, budget);
    return other && equal(entry.second, *other, budget);
  });
}

// <, <=, > and >= : numbers, text, and lists or tuples by their first difference.
bool in_order(Comparator comparator, const Value& left, const Value& right, Budget& budget) {
  budget.step();
  const Budget::Level level(budget);
  const auto a = left.as_integer();
  const auto b = right.as_integer();
  if (a && b) return ordered(comparator, *a, *b);
  const auto x = left.as_number();
  const auto y = right.as_number();
  if (x && y) return ordered(comparator, *x, *y);
  if (left.is_text() && right.is_text()) {
    budget.charge(std::min(left.as_text()->bytes.size(), right.as_text()->bytes.size()));
    return ordered(comparator, left.as_text()->bytes, right.as_text()->bytes);
  }
  const Sequence* p = left.as_sequence();
  const Sequence* q = right.as_sequence();
  if (p && q && same_class(*p, *q) && p->flavor <= Sequence::Flavor::kGroup) {
    for (std::size_t i = 0; i < std::min(p->items.size(), q->items.size()); ++i) {
      if (!equal(p->items[i], q->items[i], budget))
        return in_order(comparator, p->items[i], q->items[i], budget);
    }
    return ordered(comparator, p->items.size(), q->items.size());
  }
  for (const Value* value : {&left, &right}) {
    if (value->is_undefined()) fail("{}", value->complaint());
  }
  fail("'{}' not supported between instances of '{}' and '{}'", symbol(comparator), type_name(left),
       type_name(right));
}

bool contains(const Value& container, const Value& item, Budget& budget) {
  if (const Text* text = container.as_text()) {
    const Text* part = item.as_text();
    if (!part) fail("'in <string>' requires string as left operand, not {}", type_name(item));
    budget.charge(text->bytes.size());
    return text->bytes.find(part->bytes) != std::string::npos;
  }
  if (const Dict* dict = container.as_dict()) return find_key(*dict, item, budget) != nullptr;
  if (!is_iterable(container)) fail("argument of type '{}' is not iterable", type_name(container));
  const Iterator next = iterate(container);
  while (const auto candidate = next()) {
    if (equal(*candidate, item, budget)) return true;
  }
  return false;
}

[[noreturn]] void fail_operands(BinaryOperator op, const Value& left, const Value& right) {
  if (op == BinaryOperator::kAdd && left.is_text())
    fail("can only concatenate str (not \"{}\") to str", type_name(right));
  if (op == BinaryOperator::kAdd && left.as_sequence() &&
      left.as_sequence()->flavor <= Sequence::Flavor::kGroup) {
    fail("can only concatenate {0} (not \"{1}\") to {0}", type_name(left), type_name(right));
  }
  fail("unsupported operand type(s) for {}: '{}' and '{}'", symbol(op), type_name(left), type_name(right));
}

Value concatenate(const Text& left, const Text& right, Budget& budget) {
  budget.charge(left.bytes.size() + right.bytes.size());
  if (left.markup == right.markup) return Value::text(left.bytes + right.bytes, left.markup);
  return Value::text((left.markup ? left.bytes : escape_html(left.bytes)) +
                         (right.markup ? right.bytes : escape_html(right.bytes)),
                     true);
}

Value concatenate(const Sequence& left, const Sequence& right, Budget& budget) {
  budget.charge((left.items.size() + right.items.size()) * kOwnedItemBytes);
  std::vector<Value> items = left.items;
  items.insert(items.end(), right.items.begin(), right.items.end());
  return Value::sequence(
      {is_tuple(left) ? Sequence::Flavor::kTuple : Sequence::Flavor::kList, std::move(items)});
}

// Text, lists and tuples times a number; nothing when `value` is none of them.
std::optional<Value> repeat(const Value& value, std::int64_t times, Budget& budget) {
  const auto charge = [&](std::size_t one) {
    const auto count = static_cast<std::size_t>(std::max<std::int64_t>(times, 0));
    if (one != 0 && count > static_cast<std::size_t>(Budget::kBytes) / one) budget.charge(Budget::kBytes);
    budget.charge(one * count);
  };
  if (const Text* text = value.as_text()) {
    charge(text->bytes.size());
    std::string out;
    for (std::int64_t i = 0; i < times && !text->bytes.empty(); ++i) out += text->bytes;
    return Value::text(std::move(out), text->markup);
  }
  const Sequence* sequence = value.as_sequence();
  if (!sequence || sequence->flavor > Sequence::Flavor::kGroup) return {};
  charge(sequence->items.size() * kOwnedItemBytes);
  std::vector<Value> items;
  for (std::int64_t i = 0; i < times && !sequence->items.empty(); ++i)
    items.insert(items.end(), sequence->items.begin(), sequence->items.end());
  return Value::sequence(
      {is_tuple(*sequence) ? Sequence::Flavor::kTuple : Sequence::Flavor::kList, std::move(items)});
}

std::int64_t integer_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result))
      fail("integer too large for 64 bits");
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) fail("integer too large for 64 bits");
  }
  return result;
}

Value integer_arithmetic(BinaryOperator op, std::int64_t left, std::int64_t right) {
  std::int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case BinaryOperator::kAdd:
      overflow = __builtin_add_overflow(left, right, &result);
      break;
    case BinaryOperator::kSubtract:
      overflow = __builtin_sub_overflow(left, right, &result);
      break;
    case BinaryOperator::kMultiply:
      overflow = __builtin_mul_overflow(left, right, &result);
      break;
    case BinaryOperator::kDivide:
      if (right == 0) fail("division by zero");
      return Value::real(static_cast<double>(left) / static_cast<double>(right));
    case BinaryOperator::kFloorDivide:
    case BinaryOperator::kModulo: {
      if (right == 0) fail("integer division or modulo by zero");
      if (right == -1)
        return op == BinaryOperator::kModulo ? Value::integer(0) : negate(Value::integer(left));
      const bool rounds_up =
          left % right != 0 && (left < 0) != (right < 0);  // C++ cuts towards zero, Python down
      result = op == BinaryOperator::kModulo ? left % right + (rounds_up ? right : 0)
                                             : left / right - (rounds_up ? 1 : 0);
      break;
    }
    case BinaryOperator::kPower:
      if (right < 0 && left == 0) fail("0.0 cannot be raised to a negative power");
      if (right < 0) return Value::real(std::pow(static_cast<double>(left), static_cast<double>(right)));
      result = integer_power(left, right);
      break;
  }
  if (overflow) fail("integer too large for 64 bits");
  return Value::integer(result);
}

Value float_arithmetic(BinaryOperator op, double left, double right) {
  const bool divides =
      op == BinaryOperator::kDivide || op == BinaryOperator::kFloorDivide || op == BinaryOperator::kModulo;
  if (divides && right == 0) fail("float division by zero");
  switch (op) {
    case BinaryOperator::kAdd:
      return Value::real(left + right);
    case BinaryOperator::kSubtract:
      return Value::real(left - right);
    case BinaryOperator::kMultiply:
      return Value::real(left * right);
    case BinaryOperator::kDivide:
      return Value::real(left / right);
    case BinaryOperator::kFloorDivide:
      return Value::real(std::floor(left / right));
    case BinaryOperator::kPower:
      if (left < 0 && right != std::floor(right)) fail("a negative number has no real power of that kind");
      break;
    case BinaryOperator::kModulo: {
      const double rest = std::fmod(left, right);
      if (rest == 0) return Value::real(std::copysign(0.0, right));
      return Value::real((rest < 0) != (right < 0) ? rest + right : rest);
    }
  }
  const double power = std::pow(left, right);
  if (std::isinf(power) && std::isfinite(left) && std::isfinite(right)) fail("Numerical result out of range");
  return Value::real(power);
}

}  // namespace

bool equal(const Value& left, const Value& right, Budget& budget) {
  budget.step();
  const Budget::Level level(budget);
  const auto a = left.as_integer();
  const auto b = right.as_integer();
  if (a && b) return *a == *b;
  const auto x = left.as_number();
  const auto y = right.as_number();
  if (x && y) return *x == *y;
  if (left.kind() != right.kind()) return false;
  switch (left.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kText: {
      const std::string& text = left.as_text()->bytes;
      if (text.size() != right.as_text()->bytes.size()) return false;
      budget.charge(text.size());
      return text == right.as_text()->bytes;
    }
    case Kind::kSequence:
      return same_class(*left.as_sequence(), *right.as_sequence()) &&
             left.as_sequence()->flavor != Sequence::Flavor::kValues &&
             equal_items(left.as_sequence()->items, right.as_sequence()->items, budget);
    case Kind::kDict:
      return equal_dicts(*left.as_dict(), *right.as_dict(), budget);
    default:
      return left.same_as(right);
  }
}

bool compare(Comparator comparator, const Value& left, const Value& right, Budget& budget) {
  switch (comparator) {
    case Comparator::kEqual:
      return equal(left, right, budget);
    case Comparator::kNotEqual:
      return !equal(left, right, budget);
    case Comparator::kIn:
      return contains(right, left, budget);
    case Comparator::kNotIn:
      return !contains(right, left, budget);
    default:
      return in_order(comparator, left, right, budget);
  }
}

Value arithmetic(BinaryOperator op, const Value& left, const Value& right, Budget& budget) {
  if (op == BinaryOperator::kModulo && left.is_text()) return percent_format(*left.as_text(), right, budget);
  for (const Value* value : {&left, &right}) {
    if (value->is_undefined()) fail("{}", value->complaint());
  }
  const auto a = left.as_integer();
  const auto b = right.as_integer();
  if (a && b) return integer_arithmetic(op, *a, *b);
  const auto x = left.as_number();
  const auto y = right.as_number();
  if (x && y) return float_arithmetic(op, *x, *y);
  if (op == BinaryOperator::kAdd) {
    if (left.is_text() && right.is_text()) return concatenate(*left.as_text(), *right.as_text(), budget);
    const Sequence* p = left.as_sequence();
    const Sequence* q = right.as_sequence();
    if (p && q && same_class(*p, *q) && p->flavor <= Sequence::Flavor::kGroup)
      return concatenate(*p, *q, budget);
  }
  if (op == BinaryOperator::kMultiply && (a || b)) {
    if (auto repeated = b ? repeat(left, *b, budget) : repeat(right, *a, budget)) return *repeated;
  }
  fail_operands(op, left, right);
}

Value negate(const Value& value) {
  if (value.is_undefined()) fail("{}", value.complaint());
  if (const double* real = value.as_float()) return Value::real(-*real);
  if (const auto integer = value.as_integer())
    return integer_arithmetic(BinaryOperator::kSubtract, 0, *integer);
  fail("bad operand type for unary -: '{}'", type_name(value));
}

Value affirm(const Value& value) {
  if (value.is_undefined()) fail("{}", value.complaint());
  if (value.as_float()) return value;
  if (const auto integer = value.as_integer()) return Value::integer(*integer);
  fail("bad operand type for unary +: '{}'", type_name(value));
}

bool is_iterable(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
    case Kind::kText:
    case Kind::kSequence:
    case Kind::kDict:
    case Kind::kGenerator:
      return true;
    default:
      return false;
  }
}

Iterator iterate(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return [] { return std::optional<Value>(); };
    case Kind::kText:
      return [value, offset = std::size_t{0}]() mutable -> std::optional<Value> {
        const std::string& text = value.as_text()->bytes;
        if (offset >= text.size()) return {};
        const std::size_t start = offset;
        next_code_point(text, offset);
        return Value::text(text.substr(start, offset - start));
      };
    case Kind::kSequence:
      return [sequence = value.shared_sequence(), i = std::size_t{0}]() mutable -> std::optional<Value> {
        if (i >= sequence->items.size()) return {};
        return sequence->items[i++];
      };
    case Kind::kDict:
      return [dict = value.shared_dict(), i = std::size_t{0}]() mutable -> std::optional<Value> {
        if (i >= dict->entries.size()) return {};
        return dict->entries[i++].first;
      };
    case Kind::kGenerator:
      return [generator = value.shared_generator()] { return generator->next(); };
    default:
      fail("'{}' object is not iterable", type_name(value));
  }
}

std::vector<Value> drain(const Value& value, Budget& budget) {
  std::vector<Value> items;
  const Iterator next = iterate(value);
  while (auto item = next()) {
    budget.charge(kOwnedItemBytes);
    items.push_back(std::move(*item));
  }
  return items;
}

std::optional<std::size_t> length_of(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kText:
      return text_length(value.as_text()->bytes);
    case Kind::kSequence:
      return value.as_sequence()->items.size();
    case Kind::kDict:
      return value.as_dict()->entries.size();
    default:
      return {};
  }
}

void require_hashable(const Value& key) {
  const Sequence* sequence = key.as_sequence();
  const bool mutable_sequence =
      sequence && !is_tuple(*sequence) && sequence->flavor != Sequence::Flavor::kRange;
  if (key.as_dict() || mutable_sequence) fail("unhashable type: '{}'", type_name(key));
}

const Value* find_key(const Dict& dict, const Value& key, Budget& budget) {
  if (const Text* text = key.as_text()) return dict.find(text->bytes, budget);
  require_hashable(key);
  for (const auto& [name, value] : dict.entries) {
    if (equal(name, key, budget)) return &value;
  }
  return nullptr;
}

Value make_dict(std::vector<std::pair<Value, Value>> entries, Budget& budget) {
  std::vector<std::pair<Value, Value>> kept;
  for (auto& entry : entries) {
    Value& key = entry.first;
    require_hashable(key);
    const auto old = std::find_if(kept.begin(), kept.end(),
                                  [&](const auto& other) { return equal(other.first, key, budget); });
    if (old != kept.end()) {
      old->second = std::move(entry.second);
    } else {
      kept.push_back(std::move(entry));
    }
  }
  return Value::dict(std::move(kept));
}

}  // namespace farthing::tokenizer::jinja
