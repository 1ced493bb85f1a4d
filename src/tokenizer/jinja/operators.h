// Python's operators on values: comparison, arithmetic, `in`, iteration. Failures carry Python's words.
#pragma once

#include <optional>
#include <vector>

#include "tokenizer/jinja/value.h"

namespace farthing::tokenizer::jinja {

enum class Comparator { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn, kNotIn };
enum class BinaryOperator { kAdd, kSubtract, kMultiply, kDivide, kFloorDivide, kModulo, kPower };

bool equal(const Value& left, const Value& right, Budget& budget);

/// Throws Failure when the two have no order, or `right` is no container for `in`.
bool compare(Comparator comparator, const Value& left, const Value& right, Budget& budget);

/// Throws Failure when the types do not fit, and where an integer leaves 64 bits.
Value arithmetic(BinaryOperator op, const Value& left, const Value& right, Budget& budget);
Value negate(const Value& value);
/// Unary plus: numbers only.
Value affirm(const Value& value);

/// Throws Failure for what is not iterable. Text gives its characters, a dict its keys, undefined nothing.
Iterator iterate(const Value& value);
bool is_iterable(const Value& value);
/// All remaining items.
std::vector<Value> drain(const Value& value, Budget& budget);

/// Python's len(), or nothing for what has none.
std::optional<std::size_t> length_of(const Value& value);

/// A dict in which later entries replace earlier ones of an equal key. Throws Failure for a key such as a
/// list.
Value make_dict(std::vector<std::pair<Value, Value>> entries, Budget& budget);

/// Throws Failure for what cannot be the key of a dict, as a list.
void require_hashable(const Value& key);

/// The value under `key`, or null. Throws Failure for a key that cannot be hashed.
const Value* find_key(const Dict& dict, const Value& key, Budget& budget);

}  // namespace farthing::tokenizer::jinja
