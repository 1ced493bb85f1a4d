// "Did you mean": the known name that a misspelt one is closest to.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace farthing {

/// Returns the candidate with the fewest single-letter edits to `name`, ignoring case; "" when none is closer
/// than half its length. Ties go to the first.
std::string nearest_name(std::string_view name, std::span<const std::string_view> candidates);

}  // namespace farthing
