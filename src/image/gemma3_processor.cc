// Gemma3ImageProcessor: every picture to one square, with pan and scan also crops of long pictures;
// pixel_values [images and crops, 3, height, width] and num_crops [images].
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "image/kinds.h"
#include "image/pixels.h"

namespace farthing::image {
namespace {

Options gemma3_defaults() {
  Options options{.resample = Resample::kBilinear, .image_mean = kHalfMean, .image_std = kHalfMean};
  options.size = {.height = 224, .width = 224};
  return options;
}

class Gemma3Processor : public ImageProcessor {
 public:
  explicit Gemma3Processor(const Settings& settings)
      : options_(read_options(settings.image_processor, gemma3_defaults())),
        pans_(read_flag(settings.image_processor, "do_pan_and_scan", false)),
        min_crop_size_(read_count(settings.image_processor, "pan_and_scan_min_crop_size", 256)),
        max_num_crops_(read_count(settings.image_processor, "pan_and_scan_max_num_crops", 4, kMaxTiles)),
        min_ratio_(read_number(settings.image_processor, "pan_and_scan_min_ratio_to_activate", 1.2)),
        normalizer_(options_) {}

  ProcessedImages process(std::span<const Image> images) const override {
    ProcessedImages result;
    if (images.empty()) return result;
    std::vector<Image> prepared;
    std::vector<std::int64_t> num_crops;
    for (const Image& image : images) {
      prepared.push_back(prepare(image, options_));
      ImageLayout layout{.original_height = image.height,
                         .original_width = image.width,
                         .height = prepared.back().height,
                         .width = prepared.back().width};
      if (pans_) pan_and_scan(image, prepared, layout);
      num_crops.push_back(layout.num_tiles - 1);
      result.layouts.push_back(layout);
    }
    result.tensors["pixel_values"] = stack(prepared, normalizer_, false);
    result.tensors["num_crops"] = integers({static_cast<std::int64_t>(images.size())}, num_crops);
    return result;
  }

 private:
  // Cuts a long picture into equal crops along its long side, at least two.
  void pan_and_scan(const Image& image, std::vector<Image>& prepared, ImageLayout& layout) const {
    const bool is_wide = image.width >= image.height;
    const int along = is_wide ? image.width : image.height;
    const int across = is_wide ? image.height : image.width;
    const double ratio = static_cast<double>(along) / across;
    if (ratio < min_ratio_) return;
    const double wanted =
        std::min(std::floor(ratio + 0.5), std::floor(static_cast<double>(along) / min_crop_size_));
    const int num_crops =
        std::min(max_num_crops_, static_cast<int>(std::clamp(wanted, 2.0, 1.0 * kMaxTiles)));
    const int length = (along - 1) / num_crops + 1;
    if (std::min(length, across) < min_crop_size_) return;
    const Size tile = is_wide ? Size{across, length} : Size{length, across};
    const std::vector<Image> crops = cut_into_tiles(image, tile);
    for (const Image& crop : crops) prepared.push_back(prepare(crop, options_));
    const int count = static_cast<int>(crops.size());
    layout.tile_rows = is_wide ? 1 : count;
    layout.tile_columns = is_wide ? count : 1;
    layout.num_tiles = count + 1;
  }

  Options options_;
  bool pans_;
  int min_crop_size_;
  int max_num_crops_;
  double min_ratio_;
  Normalizer normalizer_;
};

}  // namespace

std::unique_ptr<ImageProcessor> make_gemma3_processor(const Settings& settings) {
  return std::make_unique<Gemma3Processor>(settings);
}

}  // namespace farthing::image
