// Where tests of this folder find models.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace farthing::models {

/// The folder of a fixture family: the full fixtures if they are here, else the small selection of the
/// repository.
inline std::filesystem::path family_folder(const std::string& name) {
  const char* fixtures = std::getenv("FARTHING_FIXTURES");
  if (fixtures != nullptr) {
    std::filesystem::path folder = std::filesystem::path(fixtures) / "fixtures" / "families" / name;
    if (std::filesystem::exists(folder)) return folder;
  }
  return std::filesystem::path(FARTHING_SOURCE_DIR) / "tests" / "data" / "families" / name;
}

}  // namespace farthing::models
