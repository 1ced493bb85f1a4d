// Llama4ImageProcessor: the picture on the best grid of tiles, never enlarged beyond one tile, and the whole
// once more; pixel_values [tiles of all images, 3, edge, edge] rounded to bfloat16, aspect_ratios [images, 2]
// (rows, columns). transformers has this processor on torchvision only, whose resizing is not PIL's.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "image/kinds.h"
#include "image/pixels.h"

namespace farthing::image {
namespace {

Options llama4_defaults() {
  Options options{.resample = Resample::kBilinear, .image_mean = kHalfMean, .image_std = kHalfMean};
  options.size = {.height = 336, .width = 336};
  return options;
}

struct Llama4Grid {
  int rows = 1;
  int columns = 1;
};

class Llama4Processor : public ImageProcessor {
 public:
  explicit Llama4Processor(const Settings& settings)
      : options_(read_options(settings.image_processor, llama4_defaults())),
        max_tiles_(read_count(settings.image_processor, "max_patches", 16, kMaxTiles - 1)),
        fills_canvas_(read_flag(settings.image_processor, "resize_to_max_canvas", false)),
        normalizer_(options_.do_rescale && options_.do_normalize ? Normalizer::in_bfloat16(options_)
                                                                 : Normalizer(options_)),
        edge_(options_.size.height) {
    FARTHING_REQUIRE(edge_ > 0 && options_.size.width == edge_ && options_.do_resize, Code::kInvalidArgument,
                     "the Llama 4 image processor needs do_resize and a square size", {},
                     "check preprocessor_config.json of the checkpoint");
  }

  ProcessedImages process(std::span<const Image> images) const override {
    ProcessedImages result;
    if (images.empty()) return result;
    std::vector<Image> tiles;
    std::vector<std::int64_t> aspect_ratios;
    for (const Image& image : images) {
      const Llama4Grid grid = best_grid(size_of(image));
      append_tiles(image, grid, tiles, result.layouts.emplace_back());
      aspect_ratios.insert(aspect_ratios.end(), {grid.rows, grid.columns});
    }
    result.tensors["pixel_values"] = stack(tiles, normalizer_, false);
    result.tensors["aspect_ratios"] = integers({static_cast<std::int64_t>(images.size()), 2}, aspect_ratios);
    return result;
  }

 private:
  // Single precision, as torch divides integers.
  float scale_on(const Llama4Grid& grid, const Size& picture) const {
    return std::min(static_cast<float>(grid.rows * edge_) / static_cast<float>(picture.height),
                    static_cast<float>(grid.columns * edge_) / static_cast<float>(picture.width));
  }

  // The grid that enlarges the picture least (or most, if it is to fill the canvas) or, where none is large
  // enough, shrinks it least; the smallest of equals.
  Llama4Grid best_grid(const Size& picture) const {
    const auto is_better = [&](const Llama4Grid& left, const Llama4Grid& right) {
      const float a = scale_on(left, picture);
      const float b = scale_on(right, picture);
      if (a == b) return left.rows * left.columns < right.rows * right.columns;
      if ((a >= 1) != (b >= 1)) return a >= 1;
      return a >= 1 && !fills_canvas_ ? a < b : a > b;
    };
    Llama4Grid best;
    for (int rows = 1; rows <= max_tiles_; ++rows)
      for (int columns = 1; rows * columns <= max_tiles_; ++columns)
        if (const Llama4Grid grid{rows, columns}; is_better(grid, best)) best = grid;
    return best;
  }

  // The picture's shape within the canvas; a small picture grows to one tile's edge at most.
  Size fitted_size(const Size& picture, const Size& canvas) const {
    Size most = canvas;
    if (!fills_canvas_) {
      most.height = std::min(std::max(picture.height, edge_), canvas.height);
      most.width = std::min(std::max(picture.width, edge_), canvas.width);
    }
    const double scale_height = static_cast<double>(most.height) / picture.height;
    const double scale_width = static_cast<double>(most.width) / picture.width;
    if (scale_width < scale_height)
      return {std::min(to_edge(std::max(std::floor(picture.height * scale_width), 1.0)), most.height),
              most.width};
    return {most.height,
            std::min(to_edge(std::max(std::floor(picture.width * scale_height), 1.0)), most.width)};
  }

  void append_tiles(const Image& image, const Llama4Grid& grid, std::vector<Image>& tiles,
                    ImageLayout& layout) const {
    Image canvas = blank({grid.rows * edge_, grid.columns * edge_});
    const Size fitted = fitted_size(size_of(image), size_of(canvas));
    paste(resize(image, fitted.width, fitted.height, options_.resample, Arithmetic::kTorch), canvas, 0, 0);
    for (Image& tile : cut_into_tiles(canvas, {edge_, edge_})) tiles.push_back(std::move(tile));
    const int count = grid.rows * grid.columns;
    if (count > 1) tiles.push_back(resize(image, edge_, edge_, options_.resample, Arithmetic::kTorch));
    layout = {.original_height = image.height,
              .original_width = image.width,
              .height = fitted.height,
              .width = fitted.width,
              .tile_rows = grid.rows,
              .tile_columns = grid.columns,
              .num_tiles = count > 1 ? count + 1 : 1};
  }

  Options options_;
  int max_tiles_;
  bool fills_canvas_;
  Normalizer normalizer_;
  int edge_;  // of a tile
};

}  // namespace

std::unique_ptr<ImageProcessor> make_llama4_processor(const Settings& settings) {
  return std::make_unique<Llama4Processor>(settings);
}

}  // namespace farthing::image
