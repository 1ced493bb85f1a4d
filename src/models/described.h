// Families that a user describes in a YAML file, in the same words as the built-in declarations
// (docs/declare.md).
#pragma once

#include <filesystem>
#include <string>

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

class FamilyDescription {
 public:
  /// Throws kInvalidArgument naming file and line for YAML mistakes, kNotFound when there is no such file.
  static FamilyDescription open(const std::filesystem::path& file);
  static FamilyDescription parse(const std::string& yaml, const std::string& origin);

  /// The model_type of the models that it is for.
  const std::string& family() const { return family_; }

  /// Throws kInvalidArgument naming file and place for words that are not known or missing, kCorruptData for
  /// keys that config.json lacks.
  nn::ModelSpec declare(const Config& config) const;

 private:
  std::string family_, origin_;
  Json values_;
};

}  // namespace farthing::models
