#include "formats/half_scales.h"

#include <algorithm>

#include "base/error.h"

namespace farthing::formats {

Tensor exact_half(const Tensor& scales, const std::string& module) {
  if (scales.dtype() == DType::kF16) return scales;
  const Tensor original = to_float32(scales);
  Tensor half = from_float32(original, DType::kF16);
  const Tensor back = to_float32(half);
  FARTHING_REQUIRE(std::ranges::equal(original.span<float>(), back.span<float>()), Code::kUnsupported,
                   "scales do not fit into 16-bit floats, so weights would change",
                   {{"module", module}, {"dtype", dtype_name(scales.dtype())}},
                   "quantize the original model for this format instead");
  return half;
}

}  // namespace farthing::formats
