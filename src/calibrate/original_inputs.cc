#include "calibrate/original_inputs.h"

#include <algorithm>

namespace farthing::calibrate {

void OriginalInputs::begin(const nn::Batch& batch) {
  rows_ = batch.rows();
  kept_.clear();
}

void OriginalInputs::inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
                            std::int64_t columns) {
  const auto listened = std::find_if(paths.begin(), paths.end(),
                                     [&](const std::string& path) { return paths_.contains(path); });
  if (listened == paths.end() || rows != rows_) return;
  Tensor& kept = kept_[*listened];
  kept = Tensor::empty(DType::kF32, {rows, columns});
  std::copy_n(x, rows * columns, kept.mutable_data<float>());
}

Tensor OriginalInputs::take(const std::string& path) {
  const auto found = kept_.find(path);
  return found == kept_.end() ? Tensor() : std::exchange(found->second, Tensor());
}

}  // namespace farthing::calibrate
