// Idefics3ImageProcessor and SmolVLMImageProcessor: the picture enlarged to whole tiles, cut, and the whole
// once more; pixel_values [1, tiles of all images, 3, edge, edge] and
// pixel_attention_mask [1, tiles, edge, edge], which is all ones.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "image/kinds.h"
#include "image/pixels.h"

namespace farthing::image {
namespace {

constexpr int kMaxLongestEdge = 4096;

Options idefics3_defaults() {
  Options options{
      .resample = Resample::kLanczos, .image_mean = kHalfMean, .image_std = kHalfMean, .do_pad = true};
  options.size.longest_edge = 4 * 364;
  return options;
}

int at_least_one(double edge) {
  return to_edge(std::max(edge, 1.0));
}

// The longest edge to a length; the other keeps the shape, cut to an integer and made even.
Size with_longest_edge(const Size& from, int longest) {
  const double aspect_ratio = static_cast<double>(from.width) / from.height;
  const auto even = [](double edge) { return at_least_one(edge + std::fmod(std::floor(edge), 2.0)); };
  if (from.width >= from.height) return {even(longest / aspect_ratio), longest};
  return {longest, even(longest * aspect_ratio)};
}

Size capped(const Size& size) {
  const double aspect_ratio = static_cast<double>(size.width) / size.height;
  if (size.width >= size.height && size.width > kMaxLongestEdge)
    return {at_least_one(kMaxLongestEdge / aspect_ratio), kMaxLongestEdge};
  if (size.height > size.width && size.height > kMaxLongestEdge)
    return {kMaxLongestEdge, at_least_one(kMaxLongestEdge * aspect_ratio)};
  return size;
}

// Both edges up to multiples of the tile's, the longest first.
Size whole_tiles(const Size& size, int tile) {
  const double aspect_ratio = static_cast<double>(size.width) / size.height;
  const auto up = [tile](double edge) { return to_edge(std::ceil(edge / tile) * tile); };
  if (size.width >= size.height) {
    const int width = up(size.width);
    return {up(std::max(std::floor(width / aspect_ratio), 1.0)), width};
  }
  const int height = up(size.height);
  return {height, up(std::max(std::floor(height * aspect_ratio), 1.0))};
}

class Idefics3Processor : public ImageProcessor {
 public:
  explicit Idefics3Processor(const Settings& settings)
      : options_(read_options(settings.image_processor, idefics3_defaults())),
        splits_(read_flag(settings.image_processor, "do_image_splitting", true)),
        normalizer_(options_) {
    const SizeOption size =
        read_size(settings.image_processor, "max_image_size", {.longest_edge = 364}, true);
    tile_ = size.longest_edge > 0 ? size.longest_edge : size.height;
    FARTHING_REQUIRE(tile_ > 0 && (options_.size.longest_edge > 0 || options_.size.height > 0),
                     Code::kInvalidArgument,
                     "size or max_image_size of the image processor lacks longest_edge", {},
                     "check preprocessor_config.json of the checkpoint");
  }

  ProcessedImages process(std::span<const Image> images) const override {
    ProcessedImages result;
    if (images.empty()) return result;
    std::vector<Image> tiles;
    for (const Image& image : images) append_tiles(image, tiles, result.layouts.emplace_back());
    const auto num_tiles = static_cast<std::int64_t>(tiles.size());
    result.tensors["pixel_values"] =
        stack(tiles, normalizer_, false).reshape({1, num_tiles, 3, tile_, tile_});
    if (options_.do_pad) {
      Tensor mask = Tensor::empty(DType::kU8, {1, num_tiles, tile_, tile_});
      std::memset(mask.mutable_bytes().data(), 1, mask.num_bytes());
      result.tensors["pixel_attention_mask"] = std::move(mask);
    }
    return result;
  }

 private:
  Image resized(const Image& image, const Size& size) const {
    return resize(image, size.width, size.height, options_.resample);
  }

  Image first_resize(const Image& image) const {
    const SizeOption& size = options_.size;
    if (size.longest_edge > 0)
      return resized(image, capped(with_longest_edge(size_of(image), size.longest_edge)));
    return resized(image, {size.height, size.width});
  }

  void append_tiles(const Image& image, std::vector<Image>& tiles, ImageLayout& layout) const {
    Image picture = options_.do_resize ? first_resize(image) : image;
    picture = resized(picture, splits_ ? whole_tiles(size_of(picture), tile_) : Size{tile_, tile_});
    layout = {.original_height = image.height,
              .original_width = image.width,
              .height = picture.height,
              .width = picture.width};
    if (picture.height > tile_ || picture.width > tile_) {
      layout.tile_rows = picture.height / tile_;
      layout.tile_columns = picture.width / tile_;
      layout.num_tiles = layout.tile_rows * layout.tile_columns + 1;
      for (Image& tile : cut_into_tiles(picture, {tile_, tile_})) tiles.push_back(std::move(tile));
    }
    tiles.push_back(resized(picture, {tile_, tile_}));
  }

  Options options_;
  bool splits_;
  Normalizer normalizer_;
  int tile_ = 0;
};

}  // namespace

std::unique_ptr<ImageProcessor> make_idefics3_processor(const Settings& settings) {
  return std::make_unique<Idefics3Processor>(settings);
}

}  // namespace farthing::image
