// What config.json will say about a plan: groups of schemes with their targets, and what is left alone.
#pragma once

#include "plan/quantize_plan.h"

namespace farthing::plan {

/// Fills `plan.quantization` from its linears, its recipe and what it ignores.
void describe_quantization(QuantizePlan& plan);

}  // namespace farthing::plan
