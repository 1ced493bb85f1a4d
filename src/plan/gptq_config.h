// Runs described in the words of GPTQConfig (transformers) and quantize_config.json (AutoGPTQ, GPTQModel).
#pragma once

#include "plan/recipe.h"

namespace farthing::plan {

/// Whether a document is such a config: it says `bits` and no scheme.
bool is_gptq_config(const Json& document);

/// Turns one into a recipe of one GPTQModifier whose result is a GPTQ checkpoint. `true_sequential` walks the
/// groups of linears of a block one after another; without `static_groups` a group takes its scales when the
/// walk reaches it. Keys that only steer those programs (backend, batch_size, cache_block_outputs ...) mean
/// nothing here. Throws kInvalidArgument naming key and file for values that are not possible.
Recipe recipe_from_gptq_config(const Json& document, const std::string& origin);

}  // namespace farthing::plan
