// Scales of blocks of a flattened weight, as bitsandbytes counts them, and the rows of a matrix.
#pragma once

#include "tensor/quantized_matrix.h"

namespace farthing::scheme {

/// F32 [blocks]: what the nested scales stand for.
Tensor nested_values(const NestedScales& nested);

/// Deals block scales F32 [blocks] out to the groups of a matrix with rows, columns, group_size and
/// block_size set: F32 [rows, groups].
Tensor scales_by_row(const Tensor& block_scales, const QuantizedMatrix& matrix);

/// The reverse.
Tensor scales_by_block(const QuantizedMatrix& matrix);

}  // namespace farthing::scheme
