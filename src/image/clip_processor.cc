// CLIPImageProcessor and its like: resize, crop the centre, rescale, normalise;
// pixel_values [images, 3, height, width].
#include <algorithm>

#include "base/error.h"
#include "image/kinds.h"
#include "image/pixels.h"

namespace farthing::image {
namespace {

// Class defaults in transformers. Released checkpoints write every key, hand-written ones do not.
Options defaults_of(std::string_view type) {
  Options options{.image_mean = kClipMean, .image_std = kClipStd};
  if (type == "CLIPImageProcessor" || type == "LlavaImageProcessor") {
    options.size.shortest_edge = 224;
    options.default_to_square = false;
    options.do_center_crop = true;
    options.crop_size = {.height = 224, .width = 224};
  } else if (type == "BlipImageProcessor") {
    options.size = {.height = 384, .width = 384};
  } else {
    options.size = {.height = 224, .width = 224};
    options.image_mean = options.image_std = kHalfMean;
    if (type == "SiglipImageProcessor") options.default_to_square = false;
    if (type == "ViTImageProcessor") options.resample = Resample::kBilinear;
  }
  return options;
}

class ClipProcessor : public ImageProcessor {
 public:
  explicit ClipProcessor(const Settings& settings)
      : options_(read_options(settings.image_processor, defaults_of(settings.type))),
        pads_to_square_(settings.type == "LlavaImageProcessor" && options_.do_pad),
        normalizer_(options_) {}

  ProcessedImages process(std::span<const Image> images) const override {
    ProcessedImages result;
    if (images.empty()) return result;
    std::vector<Image> prepared;
    for (const Image& image : images) {
      prepared.push_back(pads_to_square_ ? prepare(squared(image), options_) : prepare(image, options_));
      result.layouts.push_back({.original_height = image.height,
                                .original_width = image.width,
                                .height = prepared.back().height,
                                .width = prepared.back().width});
    }
    result.tensors["pixel_values"] = stack(prepared, normalizer_, options_.do_pad && !pads_to_square_);
    return result;
  }

 private:
  // The picture centred on a square of the mean colour, which normalises to about 0.
  Image squared(const Image& image) const {
    const int edge = std::max(image.width, image.height);
    std::array<std::uint8_t, 3> colour;
    for (std::size_t c = 0; c < 3; ++c)
      colour[c] = static_cast<std::uint8_t>(std::clamp(options_.image_mean[c] * 255, 0.0, 255.0));
    Image canvas = blank({edge, edge}, colour);
    paste(image, canvas, (edge - image.width) / 2, (edge - image.height) / 2);
    return canvas;
  }

  Options options_;
  bool pads_to_square_;
  Normalizer normalizer_;
};

}  // namespace

std::unique_ptr<ImageProcessor> make_clip_processor(const Settings& settings) {
  return std::make_unique<ClipProcessor>(settings);
}

}  // namespace farthing::image
