// How values look as text: Python's str() and repr(), and JSON as json.dumps writes it.
#pragma once

#include <optional>
#include <string>

#include "tokenizer/jinja/value.h"

namespace farthing::tokenizer::jinja {

/// Python's str(): text as it is, everything else as repr(); nothing for undefined.
std::string str(const Value& value, Budget& budget);

/// Python's repr(): quoted text, lists and dicts as source code.
std::string repr(const Value& value, Budget& budget);

/// The shortest digits that read back as `value`, laid out as Python does: 1.0, 1e-05, 1e+16, inf.
std::string float_text(double value);

/// The keyword arguments of json.dumps.
struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  // one level of it; on one line when absent
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};

/// Throws Failure for what JSON cannot hold, as an undefined value.
std::string to_json_text(const Value& value, const JsonStyle& style, Budget& budget);

}  // namespace farthing::tokenizer::jinja
