// Module paths: components joined by dots.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace farthing::nn {

/// "model" and "layers" give "model.layers"; an empty part adds nothing.
inline std::string join(std::string_view parent, std::string_view child) {
  if (parent.empty() || child.empty()) return std::string(parent.empty() ? child : parent);
  std::string path(parent);
  path += '.';
  path += child;
  return path;
}

/// "model.layers" and 3 give "model.layers.3".
inline std::string join(std::string_view parent, std::int64_t index) {
  return join(parent, std::to_string(index));
}

}  // namespace farthing::nn
