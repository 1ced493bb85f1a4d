#include "nn/tiled_tower.h"

#include <algorithm>
#include <cmath>

#include "nn/names.h"

namespace farthing::nn {
namespace {

float tanh_of(const WeightSource& source, const std::string& name) {
  return std::tanh(read_float32(source, name, {1}).data<float>()[0]);
}

void gather(const Tensor& from, const std::vector<std::int64_t>& order, Tensor& to) {
  const std::int64_t width = from.dim(1);
  float* out = to.mutable_data<float>();
  for (const std::int64_t row : order) out = std::copy_n(from.data<float>() + row * width, width, out);
}

void scatter(const Tensor& from, const std::vector<std::int64_t>& order, Tensor& to) {
  const std::int64_t width = from.dim(1);
  const float* in = from.data<float>();
  for (const std::int64_t row : order) {
    std::copy_n(in, width, to.mutable_data<float>() + row * width);
    in += width;
  }
}

std::vector<Block> load_blocks(const std::vector<BlockSpec>& specs, const std::string& path,
                               const WeightSource& source) {
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const auto index = static_cast<std::int64_t>(i);
    blocks.emplace_back(specs[i], join(path, index), index, source);
  }
  return blocks;
}

}  // namespace

TiledTower::TiledTower(const VisionSpec& spec, const WeightSource& source)
    : spec_(spec),
      patch_embedding_(load_patch_embedding(spec, source)),
      pre_norm_(spec.pre_norm, spec.path, source),
      post_norm_(spec.post_norm, spec.path, source) {
  const TilingSpec& tiling = *spec.tiling;
  const std::int64_t tokens = spec.num_positions(), width = spec.hidden_size;
  const std::string positions = join(spec.path, tiling.positions);
  class_embedding_ = read_float32(source, join(spec.path, spec.class_embedding), {width}).clone();
  position_embedding_ = read_float32(source, join(positions, "embedding"), {tokens, width}).clone();
  before_ = load_table(tiling.before, "embedding", width, source);
  after_ = load_table(tiling.after, "embedding", width, source);
  tile_positions_ = load_table(tiling.positions, "tile_embedding", tokens * width, source);
  blocks_ = load_blocks(spec.blocks, join(spec.path, spec.layers), source);
  global_blocks_ = load_blocks(tiling.global_blocks, join(spec.path, tiling.global_layers), source);
  source.release(spec.path);
}

TiledTower::GatedTable TiledTower::load_table(const std::string& name, const std::string& table,
                                              std::int64_t width, const WeightSource& source) const {
  const std::string path = join(spec_.path, name);
  const Shape shape = {spec_.tiling->aspect_ratios, spec_.tiling->max_tiles * width};
  return {read_float32(source, join(path, table) + ".weight", shape).clone(),
          tanh_of(source, join(path, "gate"))};
}

std::vector<TiledTower::Picture> TiledTower::read_pictures(const PictureTensors& tensors,
                                                           std::int64_t views) const {
  const std::int64_t places = spec_.tiling->max_tiles;
  const auto ratios = read_sizes(tensors, "aspect_ratio_ids", 1);
  const auto masks = read_sizes(tensors, "aspect_ratio_mask", places);
  FARTHING_REQUIRE(ratios.size() == masks.size() && static_cast<std::int64_t>(masks.size()) * places == views,
                   Code::kInvalidArgument, "aspect ratios and pixel_values differ in number of pictures",
                   {{"aspect_ratio_ids", ratios.size()},
                    {"aspect_ratio_mask", masks.size()},
                    {"tiles", views},
                    {"tiles_per_picture", places}},
                   "preprocessor_config.json and config.json disagree");
  std::vector<Picture> pictures;
  for (std::size_t i = 0; i < masks.size(); ++i) {
    const auto tiles = std::count_if(masks[i].begin(), masks[i].end(), [](auto used) { return used != 0; });
    FARTHING_REQUIRE(
        ratios[i][0] >= 0 && ratios[i][0] < spec_.tiling->aspect_ratios && tiles >= 1 &&
            std::all_of(masks[i].begin(), masks[i].begin() + tiles, [](auto used) { return used != 0; }),
        Code::kInvalidArgument, "a picture has an aspect ratio that the vision tower does not know",
        {{"picture", i}, {"aspect_ratio_id", ratios[i][0]}, {"tiles", tiles}},
        "max_image_tiles of preprocessor_config.json and config.json disagree");
    pictures.push_back({ratios[i][0], tiles});
  }
  return pictures;
}

std::int64_t TiledTower::padded_tokens() const {
  const std::int64_t multiple = spec_.tiling->token_multiple;
  return (spec_.num_positions() + multiple - 1) / multiple * multiple;
}

// Rows [pictures * places * padded tokens, H], normed; what is padding within a tile is zero.
Tensor TiledTower::embed(const PatchRows& patches, const std::vector<Picture>& pictures,
                         ThreadPool& pool) const {
  const std::int64_t width = spec_.hidden_size, tokens = spec_.num_positions(), padded = padded_tokens(),
                     places = spec_.tiling->max_tiles;
  Tensor embedded = Tensor::empty(DType::kF32, {patches.rows.dim(0), width});
  patch_embedding_.forward(patches.rows.data<float>(), patches.rows.dim(0), embedded.mutable_data<float>(),
                           pool);
  const auto tiles = static_cast<std::int64_t>(pictures.size()) * places;
  Tensor hidden = Tensor::zeros(DType::kF32, {tiles * padded, width});
  pool.parallel_for(tiles, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t tile = begin; tile < end; ++tile) {
      const std::int64_t ratio = pictures[static_cast<std::size_t>(tile / places)].aspect_ratio;
      const float* before = before_.rows.data<float>() + (ratio * places + tile % places) * width;
      const float* positions =
          tile_positions_.rows.data<float>() + (ratio * places + tile % places) * tokens * width;
      const float* patch = embedded.data<float>() + tile * (tokens - 1) * width;
      float* rows = hidden.mutable_data<float>() + tile * padded * width;
      std::copy_n(class_embedding_.data<float>(), width, rows);
      for (std::int64_t i = 0; i < (tokens - 1) * width; ++i)
        rows[width + i] = patch[i] + before[i % width] * before_.gate;
      for (std::int64_t i = 0; i < tokens * width; ++i)
        rows[i] += (1.0f - tile_positions_.gate) * position_embedding_.data<float>()[i] +
                   tile_positions_.gate * positions[i];
    }
  });
  for (std::int64_t tile = 0; tile < tiles; ++tile) {
    float* rows = hidden.mutable_data<float>() + tile * padded * width;
    pre_norm_.forward(rows, tokens, rows, pool);
  }
  return hidden;
}

void TiledTower::add_to_tiles(const GatedTable& table, const std::vector<Picture>& pictures,
                              Tensor& hidden) const {
  const std::int64_t width = spec_.hidden_size, tile_size = padded_tokens() * width,
                     places = spec_.tiling->max_tiles;
  float* rows = hidden.mutable_data<float>();
  for (const Picture& picture : pictures)
    for (std::int64_t tile = 0; tile < places; ++tile, rows += tile_size) {
      const float* added = table.rows.data<float>() + (picture.aspect_ratio * places + tile) * width;
      for (std::int64_t i = 0; i < tile_size; ++i) rows[i] += table.gate * added[i % width];
    }
}

std::vector<std::int64_t> TiledTower::lay_out(const std::vector<Picture>& pictures, Batch& batch) const {
  const std::int64_t tokens = spec_.num_positions(), padded = padded_tokens(),
                     rows = spec_.tiling->max_tiles * padded;
  std::vector<std::int64_t> order;
  for (std::size_t p = 0; p < pictures.size(); ++p) {
    const std::int64_t real_rows = pictures[p].tiles * tokens, first = static_cast<std::int64_t>(p) * rows;
    for (const bool real : {true, false})
      for (std::int64_t row = 0; row < rows; ++row)
        if ((row / padded < pictures[p].tiles && row % padded < tokens) == real) order.push_back(first + row);
    Sequence sequence = Sequence::of(rows);
    sequence.spans = {{0, real_rows, rows}, {real_rows, rows, real_rows}};
    batch.add(sequence);
  }
  return order;
}

PictureFeatures TiledTower::forward(const PictureTensors& tensors, ThreadPool& pool) {
  const PatchRows patches = read_patches(spec_, tensors, pool);
  const std::vector<Picture> pictures =
      read_pictures(tensors, static_cast<std::int64_t>(patches.grids.size()));
  const std::int64_t width = spec_.hidden_size, tokens = spec_.num_positions(), padded = padded_tokens(),
                     places = spec_.tiling->max_tiles;
  const auto layers = static_cast<std::int64_t>(spec_.feature_layers.size());
  const auto tiles = static_cast<std::int64_t>(pictures.size()) * places;

  Batch batch;
  const std::vector<std::int64_t> order = lay_out(pictures, batch);
  Scratch scratch;
  const ForwardContext context{pool, batch, nullptr, &scratch};
  Tensor in_place = embed(patches, pictures, pool);  // rows where their tiles are
  Tensor hidden = Tensor::empty(DType::kF32, in_place.shape());
  PictureFeatures features{Tensor::empty(DType::kF32, {tiles * tokens, (1 + layers) * width}), {}};
  // Channel c of state `which` of every real token goes to column first + c * step.
  const auto keep = [&](std::int64_t first, std::int64_t step) {
    pool.parallel_for(tiles * tokens, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const float* from = in_place.data<float>() + (i / tokens * padded + i % tokens) * width;
        float* to = features.rows.mutable_data<float>() + i * features.rows.dim(1) + first;
        for (std::int64_t c = 0; c < width; ++c) to[c * step] = from[c];
      }
    });
  };
  const auto keep_layer = [&](std::size_t layer) {
    for (std::int64_t k = 0; k < layers; ++k)
      if (spec_.hidden_state_index(spec_.feature_layers[static_cast<std::size_t>(k)]) ==
          static_cast<std::int64_t>(layer))
        keep(width + k, layers);
  };

  gather(in_place, order, hidden);
  keep_layer(0);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    blocks_[i].forward(hidden.mutable_data<float>(), context);
    scatter(hidden, order, in_place);
    keep_layer(i + 1);
  }
  post_norm_.forward(in_place.data<float>(), in_place.dim(0), in_place.mutable_data<float>(), pool);
  add_to_tiles(after_, pictures, in_place);
  gather(in_place, order, hidden);
  for (Block& block : global_blocks_) block.forward(hidden.mutable_data<float>(), context);
  scatter(hidden, order, in_place);
  keep(0, 1);
  for (const Picture& picture : pictures)
    features.grids.push_back(
        {.frames = places, .rows = 1, .columns = tokens, .blank_frames = places - picture.tiles});
  return features;
}

std::size_t TiledTower::num_bytes() const {
  std::size_t sum = patch_embedding_.num_bytes() + class_embedding_.num_bytes() +
                    position_embedding_.num_bytes() + before_.rows.num_bytes() +
                    tile_positions_.rows.num_bytes() + after_.rows.num_bytes() + pre_norm_.num_bytes() +
                    post_norm_.num_bytes();
  for (const Block& block : blocks_) sum += block.num_bytes();
  for (const Block& block : global_blocks_) sum += block.num_bytes();
  return sum;
}

}  // namespace farthing::nn
