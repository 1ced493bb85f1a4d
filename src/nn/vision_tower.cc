#include "nn/vision_tower.h"

#include <algorithm>
#include <cmath>

#include "nn/names.h"
#include "nn/patch_order.h"
#include "nn/tiled_tower.h"

namespace farthing::nn {
namespace {

Tensor in_order(const Tensor& rows, const std::vector<std::int64_t>& order) {
  const std::int64_t width = rows.dim(1);
  Tensor result = Tensor::empty(DType::kF32, rows.shape());
  float* to = result.mutable_data<float>();
  for (const std::int64_t row : order) to = std::copy_n(rows.data<float>() + row * width, width, to);
  return result;
}

// Copies what is kept of `hidden` into columns [first, first + width) of the features, in the order of the
// embedded patches. The class tokens stay behind if `drops_class_token`: the first or last row of each view.
void keep_features(const Tensor& hidden, const TowerRows& rows, bool drops_class_token, bool class_token_last,
                   std::int64_t first, Tensor& features) {
  const std::int64_t width = hidden.dim(1);
  const std::int64_t dropped = drops_class_token ? 1 : 0, before = class_token_last ? 0 : dropped;
  std::int64_t view_begin = 0, kept_before = 0;
  for (const std::int64_t length : rows.views.lengths) {
    for (std::int64_t row = view_begin; row < view_begin + length; ++row) {
      const std::int64_t place = rows.order[static_cast<std::size_t>(row)] - view_begin - before;
      if (place < 0 || place == length - dropped) continue;
      std::copy_n(hidden.data<float>() + row * width, width,
                  features.mutable_data<float>() + (kept_before + place) * features.dim(1) + first);
    }
    view_begin += length;
    kept_before += length - dropped;
  }
}

// Two neighbours of a place on an axis of the square table, and the weight of the second.
struct Neighbours {
  std::int64_t first, second;
  float weight;
};

// The ends of the axis are those of the table.
Neighbours neighbours(std::int64_t index, std::int64_t length, std::int64_t side) {
  const float at = static_cast<float>(index) * static_cast<float>(side - 1) /
                   static_cast<float>(std::max<std::int64_t>(length - 1, 1));
  const auto first = static_cast<std::int64_t>(at);
  return {first, std::min(first + 1, side - 1), at - static_cast<float>(first)};
}

// Adds the square table, stretched bilinearly over the grid, to the patches of every frame.
void add_interpolated(const Tensor& table, const std::vector<PatchPlace>& places, const PatchGrid& grid,
                      float* rows) {
  const std::int64_t width = table.dim(1);
  const auto side = static_cast<std::int64_t>(std::lround(std::sqrt(static_cast<double>(table.dim(0)))));
  const auto entry = [&](std::int64_t row, std::int64_t column) {
    return table.data<float>() + (row * side + column) * width;
  };
  for (std::int64_t frame = 0; frame < grid.frames; ++frame)
    for (const PatchPlace& place : places) {
      const Neighbours y = neighbours(place.row, grid.rows, side);
      const Neighbours x = neighbours(place.column, grid.columns, side);
      const float* corners[] = {entry(y.first, x.first), entry(y.first, x.second), entry(y.second, x.first),
                                entry(y.second, x.second)};
      const float weights[] = {(1 - y.weight) * (1 - x.weight), (1 - y.weight) * x.weight,
                               y.weight * (1 - x.weight), y.weight * x.weight};
      for (std::int64_t i = 0; i < width; ++i, ++rows)
        *rows += corners[0][i] * weights[0] + corners[1][i] * weights[1] + corners[2][i] * weights[2] +
                 corners[3][i] * weights[3];
    }
}

// Every view by itself, or in windows. Features: the declared layers side by side.
class ViewTower : public VisionTower {
 public:
  ViewTower(const VisionSpec& spec, const WeightSource& source);

  PictureFeatures forward(const PictureTensors& pictures, ThreadPool& pool) override;
  std::size_t num_bytes() const override;

 private:
  Tensor embed(const PatchRows& patches, ThreadPool& pool) const;

  VisionSpec spec_;
  std::vector<std::int64_t> feature_layers_;  // non-negative
  Linear patch_embedding_;
  Tensor class_embedding_;     // F32 [H]
  Tensor position_embedding_;  // F32 [class token and patches, H]
  Norm pre_norm_, post_norm_;
  std::vector<Block> blocks_;
};

ViewTower::ViewTower(const VisionSpec& spec, const WeightSource& source)
    : spec_(spec),
      patch_embedding_(load_patch_embedding(spec, source)),
      pre_norm_(spec.pre_norm, spec.path, source),
      post_norm_(spec.post_norm, spec.path, source) {
  for (const std::int64_t layer : spec.feature_layers)
    feature_layers_.push_back(spec.hidden_state_index(layer));
  if (!spec.class_embedding.empty())
    class_embedding_ =
        read_float32(source, join(spec.path, spec.class_embedding), spec.class_embedding_shape()).clone();
  if (!spec.position_embedding.empty())
    position_embedding_ =
        read_float32(source, spec.position_embedding_name(), spec.position_embedding_shape()).clone();
  const std::int64_t needed = *std::max_element(feature_layers_.begin(), feature_layers_.end());
  for (std::int64_t i = 0; i < needed; ++i)
    blocks_.emplace_back(spec.blocks[static_cast<std::size_t>(i)], join(join(spec.path, spec.layers), i), i,
                         source);
  source.release(spec.path);
}

PictureFeatures ViewTower::forward(const PictureTensors& pictures, ThreadPool& pool) {
  PatchRows patches = read_patches(spec_, pictures, pool);
  const TowerRows rows = tower_rows(spec_, patches.grids);
  Tensor hidden = embed(patches, pool);
  if (spec_.window > 0) hidden = in_order(hidden, rows.order);

  const std::int64_t dropped = spec_.drop_class_token && class_embedding_.defined() ? 1 : 0;
  const auto views = static_cast<std::int64_t>(rows.views.lengths.size());
  const auto width = static_cast<std::int64_t>(feature_layers_.size()) * spec_.hidden_size;
  Tensor features = Tensor::empty(DType::kF32, {hidden.dim(0) - dropped * views, width});
  Scratch scratch;
  for (std::size_t i = 0; i <= blocks_.size(); ++i) {
    if (i > 0) {
      const bool windowed = spec_.blocks[i - 1].attention.windowed;
      const ForwardContext context{pool, windowed ? rows.windows : rows.views, nullptr, &scratch};
      blocks_[i - 1].forward(hidden.mutable_data<float>(), context);
    }
    if (i == spec_.blocks.size())
      post_norm_.forward(hidden.data<float>(), hidden.dim(0), hidden.mutable_data<float>(), pool);
    for (std::size_t k = 0; k < feature_layers_.size(); ++k)
      if (feature_layers_[k] == static_cast<std::int64_t>(i))
        keep_features(hidden, rows, dropped == 1, spec_.class_token_last,
                      static_cast<std::int64_t>(k) * spec_.hidden_size, features);
  }
  return {std::move(features), std::move(patches.grids)};
}

// Class token and patches with their positions, normed: the tower's hidden state 0.
Tensor ViewTower::embed(const PatchRows& patches, ThreadPool& pool) const {
  const std::int64_t width = spec_.hidden_size, class_rows = class_embedding_.defined() ? 1 : 0;
  Tensor embedded = Tensor::empty(DType::kF32, {patches.rows.dim(0), width});
  patch_embedding_.forward(patches.rows.data<float>(), patches.rows.dim(0), embedded.mutable_data<float>(),
                           pool);
  const auto views = static_cast<std::int64_t>(patches.grids.size());
  Tensor hidden = Tensor::empty(DType::kF32, {embedded.dim(0) + class_rows * views, width});
  const float* from = embedded.data<float>();
  float* to = hidden.mutable_data<float>();
  for (const PatchGrid& grid : patches.grids) {
    float* view = to;
    const auto add_class_token = [&] { to = std::copy_n(class_embedding_.data<float>(), width, to); };
    if (class_rows == 1 && !spec_.class_token_last) add_class_token();
    to = std::copy_n(from, grid.count() * width, to);
    if (class_rows == 1 && spec_.class_token_last) add_class_token();
    from += grid.count() * width;
    if (!position_embedding_.defined()) continue;
    if (spec_.interpolate_positions) {
      add_interpolated(position_embedding_, place_patches(spec_, grid), grid, view);
    } else {
      kernels::add(view, position_embedding_.data<float>(), (class_rows + grid.count()) * width, pool);
    }
  }
  if (pre_norm_) pre_norm_.forward(hidden.data<float>(), hidden.dim(0), hidden.mutable_data<float>(), pool);
  return hidden;
}

std::size_t ViewTower::num_bytes() const {
  std::size_t sum = patch_embedding_.num_bytes() + class_embedding_.num_bytes() +
                    position_embedding_.num_bytes() + pre_norm_.num_bytes() + post_norm_.num_bytes();
  for (const Block& block : blocks_) sum += block.num_bytes();
  return sum;
}

}  // namespace

Linear load_patch_embedding(const VisionSpec& spec, const WeightSource& source) {
  const std::string path = join(spec.path, spec.patch_embedding);
  const Tensor weight = source.tensor(path + ".weight");
  const Shape expected = spec.patch_shape();
  FARTHING_REQUIRE(weight.shape() == expected, Code::kCorruptData,
                   "a tensor has another shape than config.json says",
                   {{"tensor", path + ".weight"},
                    {"shape", to_string(weight.shape())},
                    {"expected", to_string(expected)}});
  Tensor bias;
  if (spec.patch_bias) bias = read_float32(source, path + ".bias", {spec.hidden_size}).clone();
  return Linear(path, weight.reshape({spec.hidden_size, weight.numel() / spec.hidden_size}), bias);
}

std::unique_ptr<VisionTower> load_vision_tower(const VisionSpec& spec, const WeightSource& source) {
  if (spec.tiling) return std::make_unique<TiledTower>(spec, source);
  return std::make_unique<ViewTower>(spec, source);
}

}  // namespace farthing::nn
