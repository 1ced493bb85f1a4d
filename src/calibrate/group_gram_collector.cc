#include "calibrate/group_gram_collector.h"

#include <algorithm>

#include "kernels/linalg.h"

namespace farthing::calibrate {

void GroupGramCollector::inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
                                std::int64_t columns) {
  for (const std::string& path : paths) {
    const auto found = widths_.find(path);
    if (found == widths_.end()) continue;
    const std::int64_t width = found->second, groups = columns / width;
    Sum& sum = sums_[path];
    if (!sum.grams.defined()) sum.grams = Tensor::zeros(DType::kF32, {groups, width, width});
    const std::int64_t first = (stride_ - sum.num_rows % stride_) % stride_;
    sum.num_rows += rows;
    const std::int64_t taken = first < rows ? (rows - first + stride_ - 1) / stride_ : 0;
    std::vector<float> slice(static_cast<std::size_t>(taken * width));
    for (std::int64_t g = 0; g < groups && taken > 0; ++g) {
      for (std::int64_t t = 0; t < taken; ++t)
        std::copy_n(x + (first + t * stride_) * columns + g * width, width, slice.data() + t * width);
      kernels::accumulate_gram(slice.data(), taken, width, 1.0f,
                               sum.grams.mutable_data<float>() + g * width * width, pool_);
    }
  }
}

Tensor GroupGramCollector::of(const std::string& path) const {
  const auto found = sums_.find(path);
  if (found == sums_.end()) return {};
  Tensor grams = found->second.grams.clone();
  const std::int64_t groups = grams.dim(0), width = grams.dim(1);
  for (std::int64_t g = 0; g < groups; ++g)
    kernels::symmetrize(grams.mutable_data<float>() + g * width * width, width, pool_);
  return grams;
}

}  // namespace farthing::calibrate
