// How the patterns of a recipe see the modules of a model.
#pragma once

#include <optional>
#include <vector>

#include "models/family.h"
#include "plan/recipe.h"
#include "scheme/target.h"

namespace farthing::plan {

/// Every spelling of a canonical module path that checkpoints and loaders of this family use; the path itself
/// comes first.
std::vector<std::string> spellings(const nn::ModelSpec& spec, const std::string& canonical);

/// The names of a linear as patterns see it; those of an unknown family have one spelling.
scheme::ModuleNames names_of(const models::ModuleInfo& module, const std::optional<nn::ModelSpec>& spec);

/// How one modifier sees modules: its groups' targets and what it leaves alone, compiled once.
struct CompiledModifier {
  const Modifier* modifier;
  scheme::TargetTable groups;
  std::vector<scheme::Target> ignore;
};

CompiledModifier compile(const Modifier& modifier);

bool fits_any(const std::vector<scheme::Target>& targets, const scheme::ModuleNames& module);

}  // namespace farthing::plan
