// Numbers from text, as Python's int() and float() read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace farthing::tokenizer::jinja {

/// int(text, base): white space around, a sign, underscores between digits, a prefix such as 0x where `base`
/// allows it (0: the prefix decides). Nothing when it is no integer; throws Failure beyond 64 bits.
std::optional<std::int64_t> parse_integer(std::string_view text, int base);

/// float(text). Nothing when it is no number.
std::optional<double> parse_float(std::string_view text);

}  // namespace farthing::tokenizer::jinja
