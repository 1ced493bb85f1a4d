#include "nn/vision_tower.h"

#include <algorithm>

#include "nn/names.h"

namespace farthing::nn {
namespace {

// Patches in raster order, each in the order of the convolution's weight: channel, row, column.
Tensor unfold(const Tensor& pixels, std::int64_t patch, ThreadPool& pool) {
  const std::int64_t pictures = pixels.dim(0), channels = pixels.dim(1), size = pixels.dim(2),
                     grid = size / patch;
  const std::int64_t columns = channels * patch * patch;
  Tensor rows = Tensor::empty(DType::kF32, {pictures * grid * grid, columns});
  const float* from = pixels.data<float>();
  float* to = rows.mutable_data<float>();
  pool.parallel_for(pictures * grid * grid, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t picture = i / (grid * grid), top = i / grid % grid * patch, left = i % grid * patch;
      float* row = to + i * columns;
      for (std::int64_t c = 0; c < channels; ++c)
        for (std::int64_t y = 0; y < patch; ++y, row += patch)
          std::copy_n(from + ((picture * channels + c) * size + top + y) * size + left, patch, row);
    }
  });
  return rows;
}

Linear load_patch_embedding(const VisionSpec& spec, const WeightSource& source) {
  const std::string path = join(spec.path, spec.patch_embedding);
  const Tensor weight = source.tensor(path + ".weight");
  const Shape expected = {spec.hidden_size, spec.num_channels, spec.patch_size, spec.patch_size};
  FARTHING_REQUIRE(weight.shape() == expected, Code::kCorruptData,
                   "a tensor has another shape than config.json says",
                   {{"tensor", path + ".weight"},
                    {"shape", to_string(weight.shape())},
                    {"expected", to_string(expected)}});
  Tensor bias;
  if (spec.patch_bias) bias = read_float32(source, path + ".bias", {spec.hidden_size}).clone();
  return Linear(path, weight.reshape({spec.hidden_size, weight.numel() / spec.hidden_size}), bias);
}

}  // namespace

VisionTower::VisionTower(const VisionSpec& spec, const WeightSource& source)
    : spec_(spec),
      patch_embedding_(load_patch_embedding(spec, source)),
      pre_norm_(spec.pre_norm, spec.path, source),
      post_norm_(spec.post_norm, spec.path, source) {
  for (const std::int64_t layer : spec.feature_layers)
    feature_layers_.push_back(spec.hidden_state_index(layer));
  if (!spec.class_embedding.empty())
    class_embedding_ =
        read_float32(source, join(spec.path, spec.class_embedding), {spec.hidden_size}).clone();
  position_embedding_ = read_float32(source, join(spec.path, spec.position_embedding) + ".weight",
                                     {spec.num_positions(), spec.hidden_size})
                            .clone();
  const std::int64_t needed = *std::max_element(feature_layers_.begin(), feature_layers_.end());
  for (std::int64_t i = 0; i < needed; ++i)
    blocks_.emplace_back(spec.blocks[static_cast<std::size_t>(i)], join(join(spec.path, spec.layers), i), i,
                         source);
  source.release(spec.path);
}

Tensor VisionTower::forward(const Tensor& pixels, ThreadPool& pool) {
  const Shape expected = {pixels.rank() == 4 ? pixels.dim(0) : 1, spec_.num_channels, spec_.image_size,
                          spec_.image_size};
  FARTHING_REQUIRE(pixels.shape() == expected, Code::kInvalidArgument,
                   "the pictures have another size than the vision tower takes",
                   {{"pixel_values", to_string(pixels.shape())}, {"expected", to_string(expected)}},
                   "preprocessor_config.json and config.json disagree");
  const std::int64_t pictures = expected[0];
  Tensor hidden = embed(to_float32(pixels), pool);
  float* rows = hidden.mutable_data<float>();

  const auto width = static_cast<std::int64_t>(feature_layers_.size()) * spec_.hidden_size;
  Tensor features = Tensor::empty(DType::kF32, {pictures * tokens_per_picture(), width});
  const Batch batch =
      Batch::of(std::vector<std::int64_t>(static_cast<std::size_t>(pictures), spec_.num_positions()));
  Scratch scratch;
  const ForwardContext context{pool, batch, nullptr, &scratch};
  for (std::size_t i = 0; i <= blocks_.size(); ++i) {
    if (i > 0) blocks_[i - 1].forward(rows, context);
    if (i == spec_.blocks.size()) post_norm_.forward(rows, hidden.dim(0), rows, pool);
    for (std::size_t k = 0; k < feature_layers_.size(); ++k)
      if (feature_layers_[k] == static_cast<std::int64_t>(i)) keep_features(rows, k, pictures, features);
  }
  return features;
}

// Class token and patches with their positions, normed: the tower's hidden state 0.
Tensor VisionTower::embed(const Tensor& pixels, ThreadPool& pool) const {
  const std::int64_t pictures = pixels.dim(0), width = spec_.hidden_size, tokens = spec_.num_positions();
  const Tensor patches = unfold(pixels, spec_.patch_size, pool);
  Tensor embedded = Tensor::empty(DType::kF32, {patches.dim(0), width});
  patch_embedding_.forward(patches.data<float>(), patches.dim(0), embedded.mutable_data<float>(), pool);

  Tensor hidden = Tensor::empty(DType::kF32, {pictures * tokens, width});
  const std::int64_t first_patch = class_embedding_.defined() ? 1 : 0;
  const float* from = embedded.data<float>();
  for (std::int64_t picture = 0; picture < pictures; ++picture) {
    float* to = hidden.mutable_data<float>() + picture * tokens * width;
    if (first_patch == 1) std::copy_n(class_embedding_.data<float>(), width, to);
    std::copy_n(from + picture * (tokens - first_patch) * width, (tokens - first_patch) * width,
                to + first_patch * width);
    kernels::add(to, position_embedding_.data<float>(), tokens * width, pool);
  }
  if (pre_norm_) pre_norm_.forward(hidden.data<float>(), hidden.dim(0), hidden.mutable_data<float>(), pool);
  return hidden;
}

void VisionTower::keep_features(const float* hidden, std::size_t which, std::int64_t pictures,
                                Tensor& features) const {
  const std::int64_t width = spec_.hidden_size, tokens = tokens_per_picture();
  const std::int64_t dropped = spec_.num_positions() - tokens;
  float* out = features.mutable_data<float>() + static_cast<std::int64_t>(which) * width;
  for (std::int64_t picture = 0; picture < pictures; ++picture)
    for (std::int64_t token = 0; token < tokens; ++token, out += features.dim(1))
      std::copy_n(hidden + (picture * spec_.num_positions() + dropped + token) * width, width, out);
}

std::int64_t VisionTower::tokens_per_picture() const {
  return spec_.num_positions() - (spec_.drop_class_token && !spec_.class_embedding.empty() ? 1 : 0);
}

std::size_t VisionTower::num_bytes() const {
  std::size_t sum = patch_embedding_.num_bytes() + class_embedding_.num_bytes() +
                    position_embedding_.num_bytes() + pre_norm_.num_bytes() + post_norm_.num_bytes();
  for (const Block& block : blocks_) sum += block.num_bytes();
  return sum;
}

}  // namespace farthing::nn
