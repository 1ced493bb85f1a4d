// What a template does wrong while it runs: the counterpart of a Python exception. Template::render adds the
// line and turns it into an Error for the user.
#pragma once

#include <string>
#include <utility>

#include <fmt/format.h>

namespace farthing::tokenizer::jinja {

struct Failure {
  std::string message;
  bool raised_by_template = false;  // raise_exception, as opposed to a type or a value that does not fit
};

template <typename... Arguments>
[[noreturn]] void fail(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  throw Failure{fmt::format(format, std::forward<Arguments>(arguments)...)};
}

}  // namespace farthing::tokenizer::jinja
