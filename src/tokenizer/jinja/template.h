// A parsed template, ready to render any number of times.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/jinja/ast.h"

namespace farthing::tokenizer::jinja {

/// Immutable; copies share the syntax tree, and any number of threads may render at once.
class Template {
 public:
  /// `origin` is the file for messages. Throws Error (kCorruptData) with the line and its text.
  Template(std::string_view source, std::string origin);

  /// Throws Error: kInvalidArgument with the message of raise_exception or of what Python would raise,
  /// kResources when the template does too much.
  std::string render(const std::vector<std::pair<std::string, Value>>& variables,
                     std::optional<std::chrono::sys_seconds> now) const;

 private:
  std::shared_ptr<const Body> body_;
  std::string origin_;
};

}  // namespace farthing::tokenizer::jinja
