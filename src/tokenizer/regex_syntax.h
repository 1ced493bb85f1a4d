// Patterns in tokenizer files are written for Oniguruma with Ruby syntax; this rewrites them for PCRE2.
#pragma once

#include <string>
#include <string_view>

namespace farthing::tokenizer {

/// Returns `pattern` with the meaning that Oniguruma gives it, for PCRE2 with PCRE2_UTF, PCRE2_UCP and
/// PCRE2_MULTILINE: white space and word characters by their Unicode properties, \h a hexadecimal digit,
/// nested and intersected character classes, scripts without their extensions, {n,m}+ a repeated repetition,
/// (?m) "dot matches newline". Throws kUnsupported for classes nested too deeply; other faults are left for
/// PCRE2 to report.
std::string oniguruma_to_pcre2(std::string_view pattern);

}  // namespace farthing::tokenizer
