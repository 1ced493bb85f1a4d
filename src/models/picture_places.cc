#include "models/picture_places.h"

#include <algorithm>

namespace farthing::models {

nn::Sequence PicturePlaces::sequence(std::span<const std::int32_t> ids) {
  const std::int64_t axes = spec_.decoder.position_axes(), length = static_cast<std::int64_t>(ids.size());
  nn::Sequence result{.length = length};
  std::int64_t position = 0;
  for (std::int64_t i = 0; i < length;) {
    if (!is_placeholder(ids[static_cast<std::size_t>(i)])) {
      result.positions.insert(result.positions.end(), static_cast<std::size_t>(axes), position++);
      ++i;
      continue;
    }
    std::int64_t end = i;
    while (end < length && is_placeholder(ids[static_cast<std::size_t>(end)])) ++end;
    result.spans.push_back({i, end, end});
    placeholders_ += end - i;
    while (i < end) {
      if (axes == 1 || grid_ == features_.grids.size()) {
        result.positions.insert(result.positions.end(), static_cast<std::size_t>(axes), position++);
        ++i;
        continue;
      }
      const nn::PatchGrid& grid = features_.grids[grid_++];
      const std::int64_t count = std::min(grid.count(), end - i);
      for (std::int64_t k = 0; k < count; ++k)
        result.positions.insert(result.positions.end(),
                                {position + k / (grid.rows * grid.columns),
                                 position + k / grid.columns % grid.rows, position + k % grid.columns});
      position += std::max({grid.frames, grid.rows, grid.columns});
      i += count;
    }
  }
  result.position_shift = position - length;
  return result;
}

void PicturePlaces::require_all_used() const {
  FARTHING_REQUIRE(
      features_.rows.dim(0) == placeholders_, Code::kInvalidArgument,
      "picture placeholders and picture features differ in number",
      {{"placeholders", placeholders_}, {"features", features_.rows.dim(0)}},
      "give as many pictures as the prompt has placeholders, and do not cut the prompt inside one");
}

void PicturePlaces::put_into(std::span<const std::int32_t> ids, Tensor& hidden) const {
  const std::int64_t width = hidden.dim(1);
  const float* feature = features_.rows.data<float>();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!is_placeholder(ids[i])) continue;
    std::copy_n(feature, width, hidden.mutable_data<float>() + static_cast<std::int64_t>(i) * width);
    feature += width;
  }
}

}  // namespace farthing::models
