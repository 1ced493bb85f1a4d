#include "image/pixels.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "tensor/float_types.h"

namespace farthing::image {
namespace {

// The shortest edge to `shortest`, unless that makes the longest longer than `longest`.
Size within_edges(const Size& from, int shortest, int longest) {
  const double small = std::min(from.height, from.width);
  const double large = std::max(from.height, from.width);
  double edge = shortest;
  int target = shortest;
  if (large / small * edge > longest) {
    edge = longest * small / large;
    target = to_edge(std::nearbyint(edge));  // rounds half to even, as Python does
  }
  if (small == target) return from;
  if (from.width < from.height) return {to_edge(edge * from.height / from.width), target};
  return {target, to_edge(edge * from.width / from.height)};
}

Size with_shortest_edge(const Size& from, int shortest) {
  const double small = std::min(from.height, from.width);
  const double large = std::max(from.height, from.width);
  const int other = to_edge(shortest * large / small);
  return from.width <= from.height ? Size{other, shortest} : Size{shortest, other};
}

Size within_box(const Size& from, int max_height, int max_width) {
  const double scale =
      std::min(static_cast<double>(max_height) / from.height, static_cast<double>(max_width) / from.width);
  return {to_edge(from.height * scale), to_edge(from.width * scale)};
}

// One axis of a centre crop: where the visible part begins in picture and crop, and its length.
struct CropAxis {
  int from;
  int to;
  int length;
};

CropAxis crop_axis(int length, int crop) {
  if (length >= crop) return {(length - crop) / 2, 0, crop};
  return {0, (crop - length + 1) / 2, length};
}

}  // namespace

int to_edge(double edge) {
  FARTHING_REQUIRE(edge >= 1.0 && edge < 1 << 30, Code::kInvalidArgument,
                   "the picture's shape leads to an impossible size", {{"edge", edge}},
                   "the picture is far too long and narrow, or size in preprocessor_config.json is wrong");
  return static_cast<int>(edge);
}

Size resized_size(const Size& from, const SizeOption& option) {
  if (option.shortest_edge > 0 && option.longest_edge > 0)
    return within_edges(from, option.shortest_edge, option.longest_edge);
  if (option.shortest_edge > 0) return with_shortest_edge(from, option.shortest_edge);
  if (option.max_height > 0 && option.max_width > 0)
    return within_box(from, option.max_height, option.max_width);
  FARTHING_REQUIRE(
      option.height > 0 && option.width > 0, Code::kInvalidArgument,
      "size of the image processor names no usable edges",
      {{"known",
        "height and width, shortest_edge, shortest_edge and longest_edge, max_height and max_width"}},
      "check preprocessor_config.json of the checkpoint");
  return {option.height, option.width};
}

Image blank(const Size& size, const std::array<std::uint8_t, 3>& colour) {
  FARTHING_REQUIRE(size.width <= kMaxPixels / size.height, Code::kInvalidArgument,
                   "a picture of this size is too large", {{"width", size.width}, {"height", size.height}});
  Image image{size.width, size.height, {}};
  image.rgb.resize(static_cast<std::size_t>(size.width) * size.height * 3);
  for (std::size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = colour[i % 3];
  return image;
}

void paste(const Image& image, Image& canvas, int x, int y) {
  FARTHING_CHECK(x >= 0 && y >= 0 && image.width <= canvas.width - x && image.height <= canvas.height - y);
  for (int row = 0; row < image.height; ++row)
    std::copy_n(image.row(row), static_cast<std::size_t>(image.width) * 3,
                canvas.row(y + row) + static_cast<std::size_t>(x) * 3);
}

Image resize_and_crop(const Image& image, const Size& size, Resample resample, const Size& crop) {
  const CropAxis down = crop_axis(size.height, crop.height);
  const CropAxis across = crop_axis(size.width, crop.width);
  Image visible = resize_window(image, size.width, size.height, resample,
                                {across.from, down.from, across.length, down.length});
  if (size_of(visible) == crop) return visible;
  Image canvas = blank(crop);
  paste(visible, canvas, across.to, down.to);
  return canvas;
}

Image prepare(const Image& image, const Options& options) {
  const Size size = options.do_resize ? resized_size(size_of(image), options.size) : size_of(image);
  if (!options.do_center_crop) return resize(image, size.width, size.height, options.resample);
  FARTHING_REQUIRE(options.crop_size.height > 0 && options.crop_size.width > 0, Code::kInvalidArgument,
                   "crop_size of the image processor lacks height and width", {},
                   "check preprocessor_config.json of the checkpoint");
  return resize_and_crop(image, size, options.resample, {options.crop_size.height, options.crop_size.width});
}

std::vector<Image> cut_into_tiles(const Image& image, const Size& tile) {
  const int rows = (image.height - 1) / tile.height + 1;
  const int columns = (image.width - 1) / tile.width + 1;
  FARTHING_REQUIRE(rows <= kMaxTiles / columns, Code::kInvalidArgument,
                   "a picture would become too many tiles",
                   {{"rows", rows}, {"columns", columns}, {"most", kMaxTiles}},
                   "check preprocessor_config.json of the checkpoint");
  std::vector<Image> tiles;
  for (int y = 0; y < image.height; y += tile.height)
    for (int x = 0; x < image.width; x += tile.width)
      tiles.push_back(crop(
          image, {x, y, std::min(tile.width, image.width - x), std::min(tile.height, image.height - y)}));
  return tiles;
}

Normalizer::Normalizer(const Options& options) {
  for (std::size_t c = 0; c < 3; ++c) {
    const float mean = static_cast<float>(options.image_mean[c]);
    const float deviation = static_cast<float>(options.image_std[c]);
    for (int byte = 0; byte < 256; ++byte) {
      float value = static_cast<float>(options.do_rescale ? byte * options.rescale_factor : byte);
      if (options.do_normalize) value = (value - mean) / deviation;
      table_[c][byte] = value;
    }
  }
}

Normalizer Normalizer::in_bfloat16(const Options& options) {
  Normalizer normalizer;
  for (std::size_t c = 0; c < 3; ++c) {
    const float mean = round_to_bf16(static_cast<float>(options.image_mean[c]));
    const float deviation = round_to_bf16(static_cast<float>(options.image_std[c]));
    for (int byte = 0; byte < 256; ++byte) {
      float value = static_cast<float>(byte);
      if (options.do_rescale) value = round_to_bf16(value * static_cast<float>(options.rescale_factor));
      if (options.do_normalize) value = round_to_bf16(round_to_bf16(value - mean) / deviation);
      normalizer.table_[c][byte] = value;
    }
  }
  return normalizer;
}

void Normalizer::write(const Image& image, const Window& window, float* planes, const Size& plane) const {
  FARTHING_CHECK(window.width <= plane.width && window.height <= plane.height);
  FARTHING_CHECK(window.x + window.width <= image.width && window.y + window.height <= image.height);
  const std::size_t plane_size = static_cast<std::size_t>(plane.height) * plane.width;
  for (int y = 0; y < window.height; ++y) {
    const std::uint8_t* from = image.row(window.y + y) + static_cast<std::size_t>(window.x) * 3;
    float* to = planes + static_cast<std::size_t>(y) * plane.width;
    for (int x = 0; x < window.width; ++x)
      for (std::size_t c = 0; c < 3; ++c) to[c * plane_size + x] = table_[c][from[x * 3 + c]];
  }
}

void Normalizer::write(const Image& image, float* planes) const {
  write(image, {0, 0, image.width, image.height}, planes, size_of(image));
}

Tensor stack(std::span<const Image> images, const Normalizer& normalizer, bool pad) {
  FARTHING_CHECK(!images.empty());
  Size plane = size_of(images.front());
  for (const Image& image : images) {
    FARTHING_REQUIRE(pad || size_of(image) == plane, Code::kInvalidArgument,
                     "pictures of different sizes cannot be stacked",
                     {{"first", fmt::format("{}x{}", plane.width, plane.height)},
                      {"other", fmt::format("{}x{}", image.width, image.height)}},
                     "give the model one picture at a time, or pictures of one size");
    plane = {std::max(plane.height, image.height), std::max(plane.width, image.width)};
  }
  const Shape shape = {static_cast<std::int64_t>(images.size()), 3, plane.height, plane.width};
  Tensor pixel_values = pad ? Tensor::zeros(DType::kF32, shape) : Tensor::empty(DType::kF32, shape);
  float* planes = pixel_values.mutable_data<float>();
  for (const Image& image : images) {
    normalizer.write(image, {0, 0, image.width, image.height}, planes, plane);
    planes += static_cast<std::size_t>(3) * plane.height * plane.width;
  }
  return pixel_values;
}

Tensor stack_tiles(std::span<const std::vector<Image>> pictures, int num_tiles,
                   const Normalizer& normalizer) {
  const Size tile_size = size_of(pictures.front().front());
  Tensor pixel_values = Tensor::zeros(DType::kF32, {static_cast<std::int64_t>(pictures.size()), num_tiles, 3,
                                                    tile_size.height, tile_size.width});
  const std::size_t tile_elements = static_cast<std::size_t>(3) * tile_size.height * tile_size.width;
  float* picture = pixel_values.mutable_data<float>();
  for (const std::vector<Image>& tiles : pictures) {
    FARTHING_CHECK(static_cast<int>(tiles.size()) <= num_tiles);
    for (std::size_t i = 0; i < tiles.size(); ++i) {
      FARTHING_CHECK(size_of(tiles[i]) == tile_size);
      normalizer.write(tiles[i], picture + i * tile_elements);
    }
    picture += num_tiles * tile_elements;
  }
  return pixel_values;
}

Tensor integers(Shape shape, const std::vector<std::int64_t>& values) {
  return Tensor::of<std::int64_t>(std::move(shape), std::span<const std::int64_t>(values));
}

}  // namespace farthing::image
