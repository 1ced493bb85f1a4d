// Ignored modules for formats whose configs list parts of names instead of patterns.
#pragma once

#include <string>
#include <vector>

namespace farthing::formats {

/// Returns the plain text in each pattern: "re:.*vision_tower.*" becomes "vision_tower", "lm_head" stays.
std::vector<std::string> skip_list(const std::vector<std::string>& patterns);

}  // namespace farthing::formats
