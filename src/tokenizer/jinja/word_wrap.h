// Filling lines with words as Python's textwrap does.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace farthing::tokenizer::jinja {

struct WrapStyle {
  std::size_t width = 79;  // code points in a line, at least 1
  bool break_long_words = true;
  bool break_on_hyphens = true;
};

/// Lines of at most `style.width` code points; white space at the ends of lines is dropped.
std::vector<std::string> wrap_words(std::string_view text, const WrapStyle& style);

}  // namespace farthing::tokenizer::jinja
