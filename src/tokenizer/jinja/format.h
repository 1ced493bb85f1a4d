// Python's two ways to fill in a pattern: '%s, %d' % values and '{}, {:.2f}'.format(values).
#pragma once

#include "tokenizer/jinja/object.h"
#include "tokenizer/jinja/value.h"

namespace farthing::tokenizer::jinja {

/// printf-style: `values` is a tuple, a dict for %(name)s, or a single value. Throws Failure as Python does.
Value percent_format(const Text& pattern, const Value& values, Budget& budget);

/// str.format. Throws Failure for a field without a value or a malformed pattern.
Value brace_format(Runtime& runtime, const Text& pattern, const Arguments& arguments);

}  // namespace farthing::tokenizer::jinja
