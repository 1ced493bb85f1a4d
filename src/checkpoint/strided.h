// Tensors whose elements do not lie one after the other, as views in PyTorch files may.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "checkpoint/checkpoint.h"

namespace farthing::checkpoint {

/// Bytes from the first element of a tensor to one past the furthest.
std::uint64_t extent_bytes(const TensorInfo& info);

/// Copies elements in row-major order, from number `first` on, until `out` is full. `base` begins at the
/// tensor's first element; `info.strides` must be set.
void gather(std::span<const std::byte> base, const TensorInfo& info, std::uint64_t first,
            std::span<std::byte> out);

}  // namespace farthing::checkpoint
