// Transform modifiers in the words of recipes.
#pragma once

#include "base/json.h"
#include "plan/transform.h"

namespace farthing::plan {

/// Whether a modifier's name is that of a transform: SmoothQuantModifier, AWQModifier.
bool is_transform(std::string_view modifier);

/// Reads the settings of one. Throws kInvalidArgument naming recipe, place and key.
Transform parse_transform(const std::string& name, const Json& settings, const std::string& origin,
                          const std::string& where);

/// The mappings of some settings; none where they have no such key.
std::vector<MappingPattern> parse_mappings(const Json& settings, const std::string& origin,
                                           const std::string& where);

/// Whether the settings of an AWQModifier also say how its weights are quantized, as older recipes do.
bool quantizes(const Json& settings);

/// The transform that a method of the command line names ("smoothquant", "awq"), or nothing.
std::optional<Transform> transform_named(std::string_view method);

/// The lines of recipe.yaml that say it again, each indented by `indent`.
std::string recipe_lines(const Transform& transform, const std::string& indent);

/// Throws kInvalidArgument unless 0 <= strength <= 1.
void require_strength(double strength, const std::string& origin);

}  // namespace farthing::plan
