#include "checkpoint/strided.h"

#include <cstring>

namespace farthing::checkpoint {
namespace {

// `Size` is a constant so that the copy becomes one move.
template <std::size_t Size>
void gather_elements(const std::byte* base, const TensorInfo& info, std::uint64_t first,
                     std::span<std::byte> out) {
  const std::size_t rank = info.shape.size();
  Shape index(rank);
  std::int64_t position = 0;  // in elements
  for (std::size_t axis = rank; axis-- > 0;) {
    const auto dim = static_cast<std::uint64_t>(info.shape[axis]);
    index[axis] = static_cast<std::int64_t>(first % dim);
    first /= dim;
    position += index[axis] * info.strides[axis];
  }
  for (std::size_t done = 0; done < out.size(); done += Size) {
    std::memcpy(out.data() + done, base + static_cast<std::size_t>(position) * Size, Size);
    for (std::size_t axis = rank; axis-- > 0;) {
      position += info.strides[axis];
      if (++index[axis] < info.shape[axis]) break;
      position -= info.shape[axis] * info.strides[axis];
      index[axis] = 0;
    }
  }
}

}  // namespace

std::uint64_t extent_bytes(const TensorInfo& info) {
  if (info.is_encoded()) return info.stored_bytes;
  if (info.strides.empty()) return info.num_bytes;
  std::int64_t last = 0;
  for (std::size_t axis = 0; axis < info.shape.size(); ++axis)
    last += (info.shape[axis] - 1) * info.strides[axis];
  return static_cast<std::uint64_t>(last + 1) * static_cast<std::uint64_t>(dtype_bits(info.dtype)) / 8;
}

void gather(std::span<const std::byte> base, const TensorInfo& info, std::uint64_t first,
            std::span<std::byte> out) {
  switch (dtype_bits(info.dtype)) {
    case 8:
      return gather_elements<1>(base.data(), info, first, out);
    case 16:
      return gather_elements<2>(base.data(), info, first, out);
    case 32:
      return gather_elements<4>(base.data(), info, first, out);
    case 64:
      return gather_elements<8>(base.data(), info, first, out);
    default:
      FARTHING_CHECK(false, "{} has no strides", dtype_name(info.dtype));
  }
}

}  // namespace farthing::checkpoint
