// Attributes, items and slices of values, in the two orders that templates know: `x.name` prefers the
// attribute, `x['name']` the item. What is missing is undefined and remembers why.
#pragma once

#include <string_view>

#include "tokenizer/jinja/object.h"
#include "tokenizer/jinja/value.h"

namespace farthing::tokenizer::jinja {

/// Throws Failure only for an undefined `value`.
Value get_attribute(Runtime& runtime, const Value& value, std::string_view name);
/// Throws Failure only for an undefined `value`.
Value get_item(Runtime& runtime, const Value& value, const Value& key);

/// value[begin:end:step]; None stands for a bound left out. Throws Failure for what cannot be sliced.
Value get_slice(Runtime& runtime, const Value& value, const Value& begin, const Value& end,
                const Value& step);

/// Follows "a.b.0", as the `attribute` arguments of filters have it; a number is one step.
Value get_path(Runtime& runtime, Value value, const Value& path);

}  // namespace farthing::tokenizer::jinja
