// PixtralImageProcessor (Pixtral, Mistral 3): shrinks to fit, then stretches to whole patches; pixel_values
// [images, 3, most height, most width] padded with zeros, and image_sizes [images, 2].
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "image/kinds.h"
#include "image/pixels.h"

namespace farthing::image {
namespace {

constexpr int kMaxPatchEdge = 4096;
constexpr int kMaxMerge = 64;

Options pixtral_defaults() {
  Options options{.image_mean = kClipMean, .image_std = kClipStd, .do_pad = true};
  options.size.longest_edge = 1024;
  return options;
}

class PixtralProcessor : public ImageProcessor {
 public:
  explicit PixtralProcessor(const Settings& settings)
      : options_(read_options(settings.image_processor, pixtral_defaults())), normalizer_(options_) {
    const SizeOption patch =
        read_size(settings.image_processor, "patch_size", {.height = 16, .width = 16}, true);
    patch_ = {patch.height, patch.width};
    // PixtralProcessor hands its own patch size down, and its pictures are whole in merged patches.
    if (const int edge = read_count(settings.processor, "patch_size", 0, kMaxPatchEdge); edge > 0) {
      patch_ = {edge, edge};
      merge_ = read_count(settings.processor, "spatial_merge_size", 1, kMaxMerge);
    }
    const SizeOption& size = options_.size;
    most_ =
        size.longest_edge > 0 ? Size{size.longest_edge, size.longest_edge} : Size{size.height, size.width};
    FARTHING_REQUIRE(patch_.height > 0 && patch_.width > 0 && patch_.height <= kMaxPatchEdge &&
                         patch_.width <= kMaxPatchEdge && most_.height > 0 && most_.width > 0,
                     Code::kInvalidArgument, "size or patch_size of the image processor makes no sense",
                     {{"patch_height", patch_.height}, {"patch_width", patch_.width}},
                     "check preprocessor_config.json of the checkpoint");
  }

  ProcessedImages process(std::span<const Image> images) const override {
    ProcessedImages result;
    if (images.empty()) return result;
    std::vector<Image> prepared;
    std::vector<std::int64_t> sizes;
    for (const Image& image : images) {
      const Size size = options_.do_resize ? patch_aligned(size_of(image)) : size_of(image);
      prepared.push_back(resize(image, size.width, size.height, options_.resample));
      sizes.insert(sizes.end(), {size.height, size.width});
      ImageLayout layout{.original_height = image.height,
                         .original_width = image.width,
                         .height = size.height,
                         .width = size.width,
                         .grid_frames = 1,
                         .grid_rows = size.height / patch_.height,
                         .grid_columns = size.width / patch_.width};
      layout.num_feature_tokens = (layout.grid_rows / merge_) * (layout.grid_columns / merge_);
      result.layouts.push_back(layout);
    }
    result.tensors["pixel_values"] = stack(prepared, normalizer_, options_.do_pad);
    result.tensors["image_sizes"] = integers({static_cast<std::int64_t>(images.size()), 2}, sizes);
    return result;
  }

 private:
  Size patch_aligned(Size size) const {
    const double ratio = std::max(static_cast<double>(size.height) / most_.height,
                                  static_cast<double>(size.width) / most_.width);
    if (ratio > 1) size = {to_edge(std::floor(size.height / ratio)), to_edge(std::floor(size.width / ratio))};
    const Size unit = {patch_.height * merge_, patch_.width * merge_};
    return {to_edge(static_cast<double>((size.height - 1) / unit.height + 1) * unit.height),
            to_edge(static_cast<double>((size.width - 1) / unit.width + 1) * unit.width)};
  }

  Options options_;
  Normalizer normalizer_;
  Size patch_;
  int merge_ = 1;  // patches per side that become one feature token
  Size most_;
};

}  // namespace

std::unique_ptr<ImageProcessor> make_pixtral_processor(const Settings& settings) {
  return std::make_unique<PixtralProcessor>(settings);
}

}  // namespace farthing::image
