// Patterns that name given linears of a model, few and in words that every consumer understands.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "plan/quantize_plan.h"

namespace farthing::plan {

/// Returns `re:` patterns that fit the linears of `plan` at `paths` (canonical) in every spelling of the
/// family, and no other linear of the model. Those of several blocks share one:
/// "re:(.*\.)?layers\.(0|3)\.self_attn\.(k_proj|q_proj|v_proj|qkv_proj)$". The name that vLLM gives linears
/// which it fuses is among those of its parts, for loaders that look for it first. Linears outside of blocks
/// and of unknown families are named one by one.
std::vector<std::string> patterns_for(const QuantizePlan& plan, std::span<const std::string> paths);

}  // namespace farthing::plan
