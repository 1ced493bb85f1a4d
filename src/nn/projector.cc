#include "nn/projector.h"

#include <algorithm>

#include "nn/names.h"

namespace farthing::nn {
namespace {

Linear load(const LinearSpec& spec, const std::string& path, const WeightSource& source) {
  if (!spec.bare) return Linear(spec, join(path, spec.name), source);
  const Shape stored = {spec.in_features, spec.out_features};
  const Tensor values = read_float32(source, join(path, spec.name), stored);
  Tensor weight = Tensor::empty(DType::kF32, {spec.out_features, spec.in_features});
  for (std::int64_t i = 0; i < spec.out_features; ++i)
    for (std::int64_t j = 0; j < spec.in_features; ++j)
      weight.mutable_data<float>()[i * spec.in_features + j] =
          values.data<float>()[j * spec.out_features + i];
  return Linear(join(path, spec.name), weight);
}

// What a square becomes, from the rows of its features.
void merge_square(PatchMerge merge, const std::vector<const float*>& square, std::int64_t width, float* out) {
  const auto count = static_cast<std::int64_t>(square.size());
  if (merge == PatchMerge::kAverage) {
    for (std::int64_t c = 0; c < width; ++c) {
      float sum = 0.0f;
      for (const float* row : square) sum += row[c];
      out[c] = sum / static_cast<float>(count);
    }
  } else if (merge == PatchMerge::kChannelMajor) {
    for (std::int64_t c = 0; c < width; ++c)
      for (std::int64_t i = 0; i < count; ++i) out[c * count + i] = square[static_cast<std::size_t>(i)][c];
  } else {
    for (const float* row : square) out = std::copy_n(row, width, out);
  }
}

// Row of the patch (dy, dx) of square `index` in a grid.
std::int64_t row_of(PatchMerge merge, const PatchGrid& grid, std::int64_t size, std::int64_t index,
                    std::int64_t i) {
  if (merge == PatchMerge::kConsecutive) return index * size * size + i;
  const std::int64_t columns = grid.columns / size;
  const std::int64_t y = index / columns * size + i / size, x = index % columns * size + i % size;
  return y * grid.columns + x;
}

}  // namespace

PictureFeatures merge_patches(PatchMerge merge, std::int64_t size, const PictureFeatures& features,
                              ThreadPool& pool) {
  const std::int64_t width = features.rows.dim(1), squares = size * size;
  std::int64_t count = 0, merged = 0;
  for (const PatchGrid& grid : features.grids) {
    FARTHING_REQUIRE(grid.rows % size == 0 && grid.columns % size == 0, Code::kInvalidArgument,
                     "the patches of a picture cannot be merged in squares",
                     {{"rows", grid.rows}, {"columns", grid.columns}, {"square", size}},
                     "preprocessor_config.json and config.json disagree");
    count += grid.count();
    merged += grid.count() / squares;
  }
  FARTHING_CHECK(features.rows.dim(0) == count, "{} rows of {} patches", features.rows.dim(0), count);
  const std::int64_t merged_width = merge == PatchMerge::kAverage ? width : width * squares;
  PictureFeatures result{Tensor::empty(DType::kF32, {merged, merged_width}), {}};
  const float* from = features.rows.data<float>();
  float* to = result.rows.mutable_data<float>();
  for (const PatchGrid& grid : features.grids) {
    const std::int64_t here = grid.count() / squares;
    pool.parallel_for(here, 16, [&](std::int64_t begin, std::int64_t end) {
      std::vector<const float*> square(static_cast<std::size_t>(squares));
      for (std::int64_t index = begin; index < end; ++index) {
        for (std::int64_t i = 0; i < squares; ++i)
          square[static_cast<std::size_t>(i)] = from + row_of(merge, grid, size, index, i) * width;
        merge_square(merge, square, width, to + index * merged_width);
      }
    });
    from += grid.count() * width;
    to += here * merged_width;
    result.grids.push_back({grid.frames, grid.rows / size, grid.columns / size});
  }
  return result;
}

Projector::Projector(const ProjectorSpec& spec, const WeightSource& source)
    : spec_(spec), norm_(spec.norm, spec.path, source), merged_norm_(spec.merged_norm, spec.path, source) {
  if (spec.merged_linear) merged_linear_ = load(*spec.merged_linear, spec.path, source);
  for (const LinearSpec& linear : spec.linears) linears_.push_back(load(linear, spec.path, source));
  source.release(spec.path);
}

PictureFeatures Projector::forward(PictureFeatures features, ThreadPool& pool) const {
  const auto normalize = [&](const Norm& norm) {
    if (!norm) return;
    const Tensor rows = std::exchange(features.rows, Tensor::empty(DType::kF32, features.rows.shape()));
    norm.forward(rows.data<float>(), rows.dim(0), features.rows.mutable_data<float>(), pool);
  };
  const auto apply = [&](const Linear& linear) {
    FARTHING_REQUIRE(features.rows.dim(1) == linear.in_features(), Code::kCorruptData,
                     "a linear of the projector has another width than what it reads",
                     {{"linear", linear.path()},
                      {"in_features", linear.in_features()},
                      {"features", features.rows.dim(1)}},
                     "sizes in vision_config of config.json disagree");
    const Tensor x = std::exchange(features.rows,
                                   Tensor::empty(DType::kF32, {features.rows.dim(0), linear.out_features()}));
    linear.forward(x.data<float>(), x.dim(0), features.rows.mutable_data<float>(), pool);
  };
  normalize(norm_);
  if (spec_.merge != PatchMerge::kNone)
    features = merge_patches(spec_.merge, spec_.merge_size, features, pool);
  if (merged_linear_) apply(merged_linear_);
  normalize(merged_norm_);
  for (std::size_t i = 0; i < linears_.size(); ++i) {
    apply(linears_[i]);
    if (i + 1 < linears_.size())
      kernels::activate(spec_.activation, features.rows.mutable_data<float>(), features.rows.numel(), pool);
  }
  return features;
}

std::size_t Projector::num_bytes() const {
  std::size_t sum = norm_.num_bytes() + merged_norm_.num_bytes() + merged_linear_.num_bytes();
  for (const Linear& linear : linears_) sum += linear.num_bytes();
  return sum;
}

}  // namespace farthing::nn
