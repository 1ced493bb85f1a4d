// What data-free methods work on in a family that nobody declared.
#pragma once

#include <vector>

#include "checkpoint/checkpoint.h"
#include "models/family.h"

namespace farthing::plan {

/// Takes every 2-D floating-point `X.weight` that is not an embedding for a linear.
std::vector<models::ModuleInfo> guess_linears(const checkpoint::Checkpoint& checkpoint);

}  // namespace farthing::plan
