// YAML as the values of JSON.
#pragma once

#include <string>

#include "base/json.h"

namespace farthing {

/// Plain scalars are what they look like (null, true, numbers, else strings), quoted ones are strings. Throws
/// kInvalidArgument naming `origin`, the line and the reason.
Json parse_yaml(const std::string& text, const std::string& origin);

}  // namespace farthing
