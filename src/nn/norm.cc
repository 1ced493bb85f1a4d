#include "nn/norm.h"

#include <algorithm>

#include "nn/names.h"

namespace farthing::nn {

Tensor read_float32(const WeightSource& source, const std::string& name, const Shape& shape) {
  const Tensor tensor = source.tensor(name);
  FARTHING_REQUIRE(tensor.shape() == shape, Code::kCorruptData,
                   "a tensor has another shape than config.json says",
                   {{"tensor", name}, {"shape", to_string(tensor.shape())}, {"expected", to_string(shape)}});
  return to_float32(tensor);
}

Norm::Norm(const NormSpec& spec, const std::string& parent, const WeightSource& source) : spec_(spec) {
  if (!spec) return;
  const std::string path = join(parent, spec.name);
  if (spec.weight) weight_ = read_float32(source, path + ".weight", {spec.size}).clone();
  if (spec.kind == NormSpec::Kind::kLayer && spec.weight_offset != 0.0f)
    for (std::int64_t i = 0; i < spec.size; ++i) weight_.mutable_data<float>()[i] += spec.weight_offset;
  if (spec.bias) bias_ = read_float32(source, path + ".bias", {spec.size}).clone();
}

void Norm::forward(const float* x, std::int64_t rows, float* y, ThreadPool& pool) const {
  const float* weight = weight_.defined() ? weight_.data<float>() : nullptr;
  switch (spec_.kind) {
    case NormSpec::Kind::kRms:
      return kernels::rms_norm(x, rows, spec_.size, weight, spec_.eps, spec_.weight_offset, y, pool);
    case NormSpec::Kind::kLayer:
      return kernels::layer_norm(x, rows, spec_.size, weight, bias_.defined() ? bias_.data<float>() : nullptr,
                                 spec_.eps, y, pool);
    case NormSpec::Kind::kNone:
      if (x != y) std::copy_n(x, rows * spec_.size, y);
  }
}

}  // namespace farthing::nn
