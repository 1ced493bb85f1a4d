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
    for (std::int64_t y = map.top; y < map.bottom; ++y) {
      for (std::int64_t x = map.left; x < map.right; ++x) {
        const std::int64_t tile = y / side * map.tile_columns + x / side;
        to = std::copy_n(tiles + (tile * side * side + y % side * side + x % side) * width, width, to);
      }
      to = std::copy_n(newline.data<float>(), width, to);
    }
    from += map.views() * side * side * width;
  }
  return joined;
}

}  // namespace farthing::nn
