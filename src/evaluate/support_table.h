// What works together: schemes, the methods that find their codes, the formats that hold them and the
// consumers that load those. Computed from the registries of each; docs/schemes.md is made from it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace farthing::evaluate {

struct FormatSupport {
  std::string_view format;                  // as --format spells it
  std::vector<std::string_view> consumers;  // as verify --for spells them
};

struct SchemeSupport {
  std::string_view scheme;  // as --scheme spells it
  std::vector<std::string_view> methods;
  std::vector<FormatSupport> formats;
};

/// A row for every scheme that quantizes weights, then one for every mixture of GGUF types. Shapes that fit
/// every kernel's tiles are assumed.
std::vector<SchemeSupport> support_table();

}  // namespace farthing::evaluate
