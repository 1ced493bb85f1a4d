// Regular expressions over names of modules and tensors, in Python's syntax, by PCRE2. <regex> of the
// standard library is not used: it recurses once per character and costs half a minute of compilation.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace farthing::scheme {

/// One compiled expression. Cheap to copy.
class Regex {
 public:
  /// Where in the name the expression must fit: Python's re.match, re.search and re.fullmatch.
  enum class Fit { kStart, kAnywhere, kWhole };

  /// Throws kInvalidArgument naming the expression and where it is wrong.
  Regex(std::string expression, Fit fit);

  /// Throws kInvalidArgument when the expression backtracks without end on this name.
  bool matches(std::string_view name) const;

 private:
  struct Code;
  std::string expression_;
  std::shared_ptr<const Code> code_;
};

}  // namespace farthing::scheme
