// The names of the Unicode scripts, as PCRE2 and Oniguruma spell them.
#pragma once

#include <span>
#include <string_view>

namespace farthing::tokenizer {

/// All scripts of Unicode 14 without Unknown, in alphabetic order.
std::span<const std::string_view> unicode_scripts();

}  // namespace farthing::tokenizer
