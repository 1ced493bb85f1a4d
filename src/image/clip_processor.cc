// CLIPImageProcessor and its like: resize, crop the centre, rescale, normalise; pixel_values [images, 3,
// height, width].
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
  ClipProcessor(std::string_view type, const Json& config)
      : options_(read_options(config, defaults_of(type))),
        pads_to_square_(type == "LlavaImageProcessor" && options_.do_pad),
        normalizer_(options_) {
    FARTHING_REQUIRE(
        !options_.do_center_crop || (options_.crop_size.height > 0 && options_.crop_size.width > 0),
        Code::kInvalidArgument, "crop_size of the image processor lacks height and width", {},
        "check preprocessor_config.json of the checkpoint");
  }

  ProcessedImages process(std::span<const Image> images) const override {
    ProcessedImages result;
    if (images.empty()) return result;
    std::vector<Image> prepared;
    for (const Image& image : images) {
      prepared.push_back(pads_to_square_ ? prepare(squared(image)) : prepare(image));
      result.layouts.push_back({.original_height = image.height,
                                .original_width = image.width,
                                .height = prepared.back().height,
                                .width = prepared.back().width});
    }
    result.tensors["pixel_values"] = stack(prepared, normalizer_, options_.do_pad && !pads_to_square_);
    return result;
  }

 private:
  Image prepare(const Image& image) const {
    const Size size = options_.do_resize ? resized_size(size_of(image), options_.size) : size_of(image);
    if (!options_.do_center_crop) return resize(image, size.width, size.height, options_.resample);
    return resize_and_crop(image, size, options_.resample,
                           {options_.crop_size.height, options_.crop_size.width});
  }

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

std::unique_ptr<ImageProcessor> make_clip_processor(std::string_view type, const Json& config) {
  return std::make_unique<ClipProcessor>(type, config);
}

}  // namespace farthing::image
