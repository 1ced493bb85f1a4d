// MllamaImageProcessor (Llama 3.2 Vision): the picture on the best grid of tiles, black at the right and the
// bottom; pixel_values [1, images, max tiles, 3, edge, edge], aspect_ratio_ids [1, images], aspect_ratio_mask
// [1, images, max tiles] and num_tiles [1, images].
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "image/kinds.h"
#include "image/pixels.h"

namespace farthing::image {
namespace {

Options mllama_defaults() {
  Options options{
      .resample = Resample::kBilinear, .image_mean = kHalfMean, .image_std = kHalfMean, .do_pad = true};
  options.size = {.height = 224, .width = 224};
  return options;
}

struct MllamaGrid {
  int rows = 0;
  int columns = 0;
};

// All grids of at most `max_tiles`, in the order whose index plus one is the aspect ratio id.
std::vector<MllamaGrid> supported_grids(int max_tiles) {
  std::vector<MllamaGrid> grids;
  for (int rows = 1; rows <= max_tiles; ++rows)
    for (int columns = 1; rows * columns <= max_tiles; ++columns) grids.push_back({rows, columns});
  return grids;
}

class MllamaProcessor : public ImageProcessor {
 public:
  explicit MllamaProcessor(const Settings& settings)
      : options_(read_options(settings.image_processor, mllama_defaults())),
        max_tiles_(read_count(settings.image_processor, "max_image_tiles", 4, kMaxTiles)),
        grids_(supported_grids(max_tiles_)),
        normalizer_(options_),
        edge_(options_.size.height) {
    FARTHING_REQUIRE(edge_ > 0 && options_.size.width == edge_, Code::kInvalidArgument,
                     "size of the Mllama image processor must be a square",
                     {{"height", options_.size.height}, {"width", options_.size.width}},
                     "check preprocessor_config.json of the checkpoint");
    FARTHING_REQUIRE(options_.do_resize && options_.do_pad, Code::kInvalidArgument,
                     "the Mllama image processor cannot do without do_resize and do_pad", {},
                     "set both to true in preprocessor_config.json");
  }

  DecodeOptions decode_options() const override { return {Alpha::kOverWhite}; }

  ProcessedImages process(std::span<const Image> images) const override {
    ProcessedImages result;
    if (images.empty()) return result;
    const auto num_images = static_cast<std::int64_t>(images.size());
    std::vector<std::vector<Image>> pictures;
    std::vector<std::int64_t> ids, counts, mask;
    for (const Image& image : images) {
      const std::size_t index = best_grid(size_of(image));
      pictures.push_back(tiles_of(image, grids_[index], result.layouts.emplace_back()));
      ids.push_back(static_cast<std::int64_t>(index) + 1);
      counts.push_back(static_cast<std::int64_t>(pictures.back().size()));
      for (int i = 0; i < max_tiles_; ++i) mask.push_back(i < counts.back() ? 1 : 0);
    }
    result.tensors["pixel_values"] =
        stack_tiles(pictures, max_tiles_, normalizer_).reshape({1, num_images, max_tiles_, 3, edge_, edge_});
    result.tensors["aspect_ratio_ids"] = integers({1, num_images}, ids);
    result.tensors["aspect_ratio_mask"] = integers({1, num_images, max_tiles_}, mask);
    result.tensors["num_tiles"] = integers({1, num_images}, counts);
    return result;
  }

 private:
  double scale_on(const MllamaGrid& grid, const Size& picture) const {
    return std::min(static_cast<double>(grid.rows * edge_) / picture.height,
                    static_cast<double>(grid.columns * edge_) / picture.width);
  }

  // The grid that enlarges the picture least or, if none is large enough, shrinks it least; the smallest of
  // several.
  std::size_t best_grid(const Size& picture) const {
    const auto is_better = [&](const MllamaGrid& left, const MllamaGrid& right) {
      const double a = scale_on(left, picture);
      const double b = scale_on(right, picture);
      if (a == b) return left.rows * left.columns < right.rows * right.columns;
      if ((a >= 1) != (b >= 1)) return a >= 1;
      return a >= 1 ? a < b : a > b;
    };
    return static_cast<std::size_t>(std::ranges::min_element(grids_, is_better) - grids_.begin());
  }

  // The size on a canvas: not below one tile nor beyond the canvas, in the picture's shape.
  Size fitted_size(const Size& picture, const Size& canvas) const {
    const int height = std::clamp(picture.height, edge_, canvas.height);
    const int width = std::clamp(picture.width, edge_, canvas.width);
    const double scale_height = static_cast<double>(height) / picture.height;
    const double scale_width = static_cast<double>(width) / picture.width;
    if (scale_width < scale_height)
      return {std::min(to_edge(std::max(std::floor(picture.height * scale_width), 1.0)), height), width};
    return {height, std::min(to_edge(std::max(std::floor(picture.width * scale_height), 1.0)), width)};
  }

  std::vector<Image> tiles_of(const Image& image, const MllamaGrid& grid, ImageLayout& layout) const {
    Image canvas = blank({grid.rows * edge_, grid.columns * edge_});
    const Size fitted = fitted_size(size_of(image), size_of(canvas));
    paste(resize(image, fitted.width, fitted.height, options_.resample), canvas, 0, 0);
    layout = {.original_height = image.height,
              .original_width = image.width,
              .height = fitted.height,
              .width = fitted.width,
              .tile_rows = grid.rows,
              .tile_columns = grid.columns,
              .num_tiles = grid.rows * grid.columns};
    return cut_into_tiles(canvas, {edge_, edge_});
  }

  Options options_;
  int max_tiles_;
  std::vector<MllamaGrid> grids_;
  Normalizer normalizer_;
  int edge_;  // of a tile
};

}  // namespace

std::unique_ptr<ImageProcessor> make_mllama_processor(const Settings& settings) {
  return std::make_unique<MllamaProcessor>(settings);
}

}  // namespace farthing::image
