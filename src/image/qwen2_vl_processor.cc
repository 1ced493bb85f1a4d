// Qwen2VLImageProcessor (Qwen2-VL, 2.5-VL, 3-VL): sizes in whole merged patches within bounds on the area,
// and the picture as a matrix of patches;
// pixel_values [patches, 3 * frames * patch * patch] and image_grid_thw [images, 3].
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "image/kinds.h"
#include "image/pixels.h"

namespace farthing::image {
namespace {

constexpr int kMaxQwenPatchEdge = 4096;
constexpr int kMaxRepeats = 64;
constexpr double kMaxAspectRatio = 200;

Options qwen2_vl_defaults() {
  Options options{.default_to_square = false, .image_mean = kClipMean, .image_std = kClipStd};
  options.size.shortest_edge = 56 * 56;  // these two "edges" are bounds on the area
  options.size.longest_edge = 28 * 28 * 1280;
  return options;
}

class Qwen2VlProcessor : public ImageProcessor {
 public:
  explicit Qwen2VlProcessor(const Settings& settings)
      : options_(read_options(settings.image_processor, qwen2_vl_defaults())), normalizer_(options_) {
    const Json& config = settings.image_processor;
    const Json& size = config.contains("size") ? config["size"] : config;
    min_pixels_ =
        read_count(config, "min_pixels", read_count(size, "min_pixels", options_.size.shortest_edge));
    max_pixels_ =
        read_count(config, "max_pixels", read_count(size, "max_pixels", options_.size.longest_edge));
    patch_ = read_count(config, "patch_size", 14, kMaxQwenPatchEdge);
    merge_ = read_count(config, "merge_size", 2, kMaxRepeats);
    frames_ = read_count(config, "temporal_patch_size", 2, kMaxRepeats);
    FARTHING_REQUIRE(min_pixels_ > 0 && max_pixels_ > 0, Code::kInvalidArgument,
                     "size of the image processor lacks shortest_edge and longest_edge", {},
                     "check preprocessor_config.json of the checkpoint");
  }

  ProcessedImages process(std::span<const Image> images) const override {
    ProcessedImages result;
    if (images.empty()) return result;
    std::vector<Image> prepared;
    std::vector<std::int64_t> grids;
    std::int64_t num_patches = 0;
    for (const Image& image : images) {
      const Size size = target_size(size_of(image));
      prepared.push_back(resize(image, size.width, size.height, options_.resample));
      const int rows = size.height / patch_;
      const int columns = size.width / patch_;
      grids.insert(grids.end(), {1, rows, columns});
      num_patches += std::int64_t{rows} * columns;
      result.layouts.push_back({.original_height = image.height,
                                .original_width = image.width,
                                .height = size.height,
                                .width = size.width,
                                .grid_frames = 1,
                                .grid_rows = rows,
                                .grid_columns = columns,
                                .num_feature_tokens = (rows / merge_) * (columns / merge_)});
    }
    Tensor pixel_values =
        Tensor::empty(DType::kF32, {num_patches, std::int64_t{3} * frames_ * patch_ * patch_});
    float* to = pixel_values.mutable_data<float>();
    for (const Image& image : prepared) to = write_patches(image, to);
    result.tensors["pixel_values"] = std::move(pixel_values);
    result.tensors["image_grid_thw"] = integers({static_cast<std::int64_t>(images.size()), 3}, grids);
    return result;
  }

 private:
  Size target_size(const Size& from) const {
    const double factor = patch_ * merge_;
    if (!options_.do_resize) {
      FARTHING_REQUIRE(from.height % (patch_ * merge_) == 0 && from.width % (patch_ * merge_) == 0,
                       Code::kInvalidArgument,
                       "the picture is not made of whole patches and may not be resized",
                       {{"width", from.width}, {"height", from.height}, {"unit", factor}},
                       "set do_resize to true in preprocessor_config.json");
      return from;
    }
    const double area = static_cast<double>(from.height) * from.width;
    const double aspect_ratio =
        static_cast<double>(std::max(from.height, from.width)) / std::min(from.height, from.width);
    FARTHING_REQUIRE(aspect_ratio <= kMaxAspectRatio, Code::kInvalidArgument,
                     "the picture is too long and narrow",
                     {{"width", from.width}, {"height", from.height}, {"max_aspect_ratio", kMaxAspectRatio}},
                     "crop the picture first");
    // nearbyint rounds half to even, as Python's round().
    double height = std::nearbyint(from.height / factor) * factor;
    double width = std::nearbyint(from.width / factor) * factor;
    if (height * width > max_pixels_) {
      const double shrink = std::sqrt(area / max_pixels_);
      height = std::max(factor, std::floor(from.height / shrink / factor) * factor);
      width = std::max(factor, std::floor(from.width / shrink / factor) * factor);
    } else if (height * width < min_pixels_) {
      const double grow = std::sqrt(min_pixels_ / area);
      height = std::ceil(from.height * grow / factor) * factor;
      width = std::ceil(from.width * grow / factor) * factor;
    }
    return {to_edge(height), to_edge(width)};
  }

  // One row per patch. Patches that will be merged follow one another: block by block, and row by row in it.
  float* write_patches(const Image& image, float* to) const {
    const int block = patch_ * merge_;
    for (int block_y = 0; block_y < image.height; block_y += block)
      for (int block_x = 0; block_x < image.width; block_x += block)
        for (int y = block_y; y < block_y + block; y += patch_)
          for (int x = block_x; x < block_x + block; x += patch_) to = write_patch(image, x, y, to);
    return to;
  }

  // Channel by channel, the still picture as often as the patch has frames.
  float* write_patch(const Image& image, int x, int y, float* to) const {
    const std::size_t patch_area = static_cast<std::size_t>(patch_) * patch_;
    for (int c = 0; c < 3; ++c) {
      const float* first_frame = to;
      for (int dy = 0; dy < patch_; ++dy) {
        const std::uint8_t* from = image.row(y + dy) + static_cast<std::size_t>(x) * 3 + c;
        for (int dx = 0; dx < patch_; ++dx) *to++ = normalizer_.value(c, from[dx * 3]);
      }
      for (int frame = 1; frame < frames_; ++frame) to = std::copy_n(first_frame, patch_area, to);
    }
    return to;
  }

  Options options_;
  Normalizer normalizer_;
  int min_pixels_ = 0;
  int max_pixels_ = 0;
  int patch_ = 0;
  int merge_ = 0;
  int frames_ = 0;
};

}  // namespace

std::unique_ptr<ImageProcessor> make_qwen2_vl_processor(const Settings& settings) {
  return std::make_unique<Qwen2VlProcessor>(settings);
}

}  // namespace farthing::image
