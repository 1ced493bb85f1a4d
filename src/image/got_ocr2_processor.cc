// GotOcr2ImageProcessor (GOT-OCR2, InternVL, Aya Vision): one square, or the picture stretched onto the grid
// of squares closest to its shape plus a thumbnail;
// pixel_values [tiles of all images, 3, height, width], num_patches [images].
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "image/kinds.h"
#include "image/pixels.h"

namespace farthing::image {
namespace {

Options got_ocr2_defaults() {
  Options options{.image_mean = kClipMean, .image_std = kClipStd};
  options.size = {.height = 384, .width = 384};
  return options;
}

struct GotOcr2Grid {
  int columns = 1;
  int rows = 1;
  int area() const { return columns * rows; }
};

std::vector<GotOcr2Grid> supported_grids(int min_tiles, int max_tiles) {
  std::vector<GotOcr2Grid> grids;
  for (int columns = 1; columns <= max_tiles; ++columns)
    for (int rows = 1; columns * rows <= max_tiles; ++rows)
      if (columns * rows >= min_tiles) grids.push_back({columns, rows});
  std::ranges::stable_sort(grids, {}, &GotOcr2Grid::area);
  return grids;
}

// Processors whose class turns the cutting on whatever the file says.
bool always_cuts(const Json& config) {
  const auto it = config.find("processor_class");
  return it != config.end() && (*it == "InternVLProcessor" || *it == "AyaVisionProcessor");
}

class GotOcr2Processor : public ImageProcessor {
 public:
  explicit GotOcr2Processor(const Settings& settings)
      : options_(read_options(settings.image_processor, got_ocr2_defaults())),
        cuts_(read_flag(settings.image_processor, "crop_to_patches", false) ||
              always_cuts(settings.image_processor) || always_cuts(settings.processor)),
        normalizer_(options_) {
    const int max_tiles = read_count(settings.image_processor, "max_patches", 12, kMaxTiles - 1);
    cuts_ = cuts_ && max_tiles > 1;
    grids_ = supported_grids(read_count(settings.image_processor, "min_patches", 1), max_tiles);
    tile_ = {options_.size.height, options_.size.width};
    FARTHING_REQUIRE(tile_.height > 0 && tile_.width > 0 && !grids_.empty(), Code::kInvalidArgument,
                     "size or min_patches of the image processor makes no sense", {},
                     "check preprocessor_config.json of the checkpoint");
  }

  ProcessedImages process(std::span<const Image> images) const override {
    ProcessedImages result;
    if (images.empty()) return result;
    std::vector<Image> tiles;
    std::vector<std::int64_t> counts;
    for (const Image& image : images) {
      ImageLayout& layout = result.layouts.emplace_back();
      if (cuts_)
        append_tiles(image, tiles, layout);
      else
        tiles.push_back(prepare(image, options_));
      layout.original_height = image.height;
      layout.original_width = image.width;
      layout.height = std::max(layout.tile_rows, 1) * tiles.back().height;
      layout.width = std::max(layout.tile_columns, 1) * tiles.back().width;
      counts.push_back(layout.num_tiles);
    }
    result.tensors["pixel_values"] = stack(tiles, normalizer_, false);
    result.tensors["num_patches"] = integers({static_cast<std::int64_t>(images.size())}, counts);
    return result;
  }

 private:
  // The grid of the closest aspect ratio. Of equals, which come smallest first, a larger one is taken while
  // the picture has more than half of its pixels.
  GotOcr2Grid best_grid(const Size& picture) const {
    const double aspect_ratio = static_cast<double>(picture.width) / picture.height;
    const double area = static_cast<double>(picture.width) * picture.height;
    double least = std::numeric_limits<double>::infinity();
    GotOcr2Grid best;
    for (const GotOcr2Grid& grid : grids_) {
      const double difference = std::abs(aspect_ratio - static_cast<double>(grid.columns) / grid.rows);
      const bool is_filled = area > 0.5 * tile_.height * tile_.width * grid.columns * grid.rows;
      if (difference < least || (difference == least && is_filled)) best = grid;
      least = std::min(least, difference);
    }
    return best;
  }

  void append_tiles(const Image& image, std::vector<Image>& tiles, ImageLayout& layout) const {
    const GotOcr2Grid grid = best_grid(size_of(image));
    const Image picture = resize(image, to_edge(1.0 * grid.columns * tile_.width),
                                 to_edge(1.0 * grid.rows * tile_.height), options_.resample);
    if (grid.area() == 1) {
      tiles.push_back(picture);
      return;
    }
    for (Image& tile : cut_into_tiles(picture, tile_)) tiles.push_back(std::move(tile));
    tiles.push_back(resize(image, tile_.width, tile_.height, options_.resample));
    layout.tile_rows = grid.rows;
    layout.tile_columns = grid.columns;
    layout.num_tiles = grid.area() + 1;
  }

  Options options_;
  bool cuts_;
  Normalizer normalizer_;
  std::vector<GotOcr2Grid> grids_;
  Size tile_;
};

}  // namespace

std::unique_ptr<ImageProcessor> make_got_ocr2_processor(const Settings& settings) {
  return std::make_unique<GotOcr2Processor>(settings);
}

}  // namespace farthing::image
