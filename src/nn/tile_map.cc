#include "nn/tile_map.h"

#include <algorithm>
#include <cmath>

#include "image/canvas.h"

namespace farthing::nn {
namespace {

constexpr std::int64_t kLargestEdge = 1 << 30;

// What is cut off on both sides of a map of `length`, when the picture takes up `used` of it.
std::int64_t padding(std::int64_t length, double used) {
  constexpr double kDigits = 1e7;  // the reference rounds to seven digits before it cuts
  return (length - static_cast<std::int64_t>(std::nearbyint(used * kDigits) / kDigits)) / 2;
}

std::vector<TileMap> tile_maps(const TileMapSpec& spec, const VisionSpec& vision,
                               const PictureTensors& pictures) {
  std::vector<TileMap> maps;
  for (const std::vector<std::int64_t>& size : read_sizes(pictures, "image_sizes", 2))
    maps.push_back(tile_map_of(spec, size[0], size[1], vision.image_size, vision.patch_size));
  return maps;
}

// Two neighbours on an axis of `from` features that is shrunk to `to`, and the weight of the second.
struct MapNeighbours {
  std::int64_t first, second;
  float weight;
};

MapNeighbours map_neighbours(std::int64_t index, std::int64_t from, std::int64_t to) {
  const float scale = static_cast<float>(from) / static_cast<float>(to);
  const float at = std::max((static_cast<float>(index) + 0.5f) * scale - 0.5f, 0.0f);
  const auto first = static_cast<std::int64_t>(at);
  return {first, std::min(first + 1, from - 1), at - static_cast<float>(first)};
}

// Writes `width` values between those of four corners and returns where the next ones go. A map that is not
// shrunk has weights of 0.
float* mixed(const float* top_left, const float* top_right, const float* bottom_left,
             const float* bottom_right, float right, float bottom, std::int64_t width, float* to) {
  if (right == 0.0f && bottom == 0.0f) return std::copy_n(top_left, width, to);
  for (std::int64_t c = 0; c < width; ++c, ++to)
    *to = (1 - bottom) * ((1 - right) * top_left[c] + right * top_right[c]) +
          bottom * ((1 - right) * bottom_left[c] + right * bottom_right[c]);
  return to;
}

}  // namespace

TileMap tile_map_of(const TileMapSpec& spec, std::int64_t height, std::int64_t width, std::int64_t tile,
                    std::int64_t patch) {
  FARTHING_REQUIRE(height >= 1 && width >= 1 && height <= kLargestEdge && width <= kLargestEdge,
                   Code::kInvalidArgument, "a picture has an impossible size",
                   {{"height", height}, {"width", width}});
  std::vector<image::Size> canvases;
  for (const auto& [canvas_height, canvas_width] : spec.canvases)
    canvases.push_back({static_cast<int>(canvas_height), static_cast<int>(canvas_width)});
  const image::Size canvas =
      image::best_canvas({static_cast<int>(height), static_cast<int>(width)}, canvases);
  const std::int64_t side = tile / patch;
  TileMap map{.tile_rows = canvas.height / tile, .tile_columns = canvas.width / tile};
  map.bottom = map.tile_rows * side;
  map.right = map.tile_columns * side;
  const auto h = static_cast<double>(height), w = static_cast<double>(width);
  const auto rows = static_cast<double>(map.bottom), columns = static_cast<double>(map.right);
  if (w / h > columns / rows) {
    map.top = padding(map.bottom, h * (columns / w));
    map.bottom -= map.top;
  } else {
    map.left = padding(map.right, w * (rows / h));
    map.right -= map.left;
  }
  map.rows = map.bottom - map.top;
  map.columns = map.right - map.left;
  constexpr double kTolerated = 1.1;
  const double ratio =
      std::sqrt(static_cast<double>(map.rows * map.columns) /
                static_cast<double>(std::max<std::int64_t>(spec.most_tiles, 1) * side * side));
  if (spec.most_tiles > 0 && ratio > kTolerated) {
    map.rows = static_cast<std::int64_t>(static_cast<double>(map.rows) / ratio);
    map.columns = static_cast<std::int64_t>(static_cast<double>(map.columns) / ratio);
    FARTHING_REQUIRE(map.rows > 0 && map.columns > 0, Code::kInvalidArgument,
                     "the picture is too long and narrow", {{"height", height}, {"width", width}},
                     "crop the picture first");
  }
  return map;
}

PictureTensors without_padding_views(const TileMapSpec& spec, const VisionSpec& vision,
                                     PictureTensors pictures) {
  const auto found = pictures.find("pixel_values");
  if (found == pictures.end() || found->second.rank() != 5) return pictures;
  const Tensor pixels = to_float32(found->second);
  const std::vector<TileMap> maps = tile_maps(spec, vision, pictures);
  FARTHING_REQUIRE(static_cast<std::int64_t>(maps.size()) == pixels.dim(0), Code::kInvalidArgument,
                   "image_sizes and pixel_values differ in number of pictures",
                   {{"image_sizes", maps.size()}, {"pixel_values", to_string(pixels.shape())}});
  std::int64_t views = 0;
  for (const TileMap& map : maps) {
    FARTHING_REQUIRE(map.views() <= pixels.dim(1), Code::kInvalidArgument,
                     "a picture has fewer tiles than its size asks for",
                     {{"tiles", pixels.dim(1)}, {"expected", map.views()}},
                     "image_grid_pinpoints of preprocessor_config.json and config.json disagree");
    views += map.views();
  }
  Tensor kept = Tensor::empty(DType::kF32, {views, pixels.dim(2), pixels.dim(3), pixels.dim(4)});
  const std::int64_t view_size = pixels.dim(2) * pixels.dim(3) * pixels.dim(4);
  float* to = kept.mutable_data<float>();
  for (std::size_t i = 0; i < maps.size(); ++i)
    to = std::copy_n(pixels.data<float>() + static_cast<std::int64_t>(i) * pixels.dim(1) * view_size,
                     maps[i].views() * view_size, to);
  pictures["pixel_values"] = std::move(kept);
  return pictures;
}

Tensor join_tiles(const TileMapSpec& spec, const VisionSpec& vision, const PictureTensors& pictures,
                  const PictureFeatures& features, const Tensor& newline) {
  const std::vector<TileMap> maps = tile_maps(spec, vision, pictures);
  const std::int64_t side = vision.image_size / vision.patch_size, width = features.rows.dim(1);
  std::int64_t count = 0, views = 0;
  for (const TileMap& map : maps) count += map.count(side), views += map.views();
  FARTHING_REQUIRE(views == static_cast<std::int64_t>(features.grids.size()), Code::kInvalidArgument,
                   "pixel_values and image_sizes disagree about the number of tiles",
                   {{"tiles", features.grids.size()}, {"expected", views}},
                   "image_grid_pinpoints of preprocessor_config.json and config.json disagree");
  Tensor joined = Tensor::empty(DType::kF32, {count, width});
  const float* from = features.rows.data<float>();
  float* to = joined.mutable_data<float>();
  for (const TileMap& map : maps) {
    to = std::copy_n(from, side * side * width, to);
    const float* tiles = from + side * side * width;
    const auto feature = [&](std::int64_t row, std::int64_t column) {
      const std::int64_t y = map.top + row, x = map.left + column;
      const std::int64_t tile = y / side * map.tile_columns + x / side;
      return tiles + (tile * side * side + y % side * side + x % side) * width;
    };
    for (std::int64_t row = 0; row < map.rows; ++row) {
      const MapNeighbours y = map_neighbours(row, map.bottom - map.top, map.rows);
      for (std::int64_t column = 0; column < map.columns; ++column) {
        const MapNeighbours x = map_neighbours(column, map.right - map.left, map.columns);
        to = mixed(feature(y.first, x.first), feature(y.first, x.second), feature(y.second, x.first),
                   feature(y.second, x.second), x.weight, y.weight, width, to);
      }
      to = std::copy_n(newline.data<float>(), width, to);
    }
    from += map.views() * side * side * width;
  }
  return joined;
}

}  // namespace farthing::nn
