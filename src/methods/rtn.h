// Round to nearest: scales from the weight's own range, every weight to the closest code. Needs no data.
#pragma once

#include "scheme/observer.h"
#include "scheme/quantizer.h"

namespace farthing::methods {

/// Quantizes `weight` [out, in] of F32, BF16 or F16. Throws as scheme::observe does.
QuantizedMatrix rtn(const Tensor& weight, const scheme::QuantizationArgs& args,
                    const scheme::ObserverOptions& options, ThreadPool& pool);

}  // namespace farthing::methods
