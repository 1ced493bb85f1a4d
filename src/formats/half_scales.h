// Scales as formats with 16-bit scales store them.
#pragma once

#include <string>

#include "tensor/tensor.h"

namespace farthing::formats {

/// Returns `scales` as F16. Throws kUnsupported naming the module when one of them would change.
Tensor exact_half(const Tensor& scales, const std::string& module);

}  // namespace farthing::formats
