#include "calibrate/input_keeper.h"

#include <algorithm>

namespace farthing::calibrate {
namespace {

Tensor copy_of(const float* x, std::int64_t rows, std::int64_t columns) {
  Tensor copy = Tensor::empty(DType::kF32, {rows, columns});
  std::copy_n(x, rows * columns, copy.mutable_data<float>());
  return copy;
}

}  // namespace

void InputKeeper::block_input(const float* hidden, std::int64_t rows, std::int64_t columns) {
  if (block_ && is_wanted()) kept_[{}].push_back({batches_ - 1, copy_of(hidden, rows, columns)});
}

void InputKeeper::inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
                         std::int64_t columns) {
  if (!is_wanted()) return;
  for (const std::string& path : paths)
    if (paths_.contains(path)) kept_[path].push_back({batches_ - 1, copy_of(x, rows, columns)});
}

}  // namespace farthing::calibrate
