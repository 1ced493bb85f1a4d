// LlavaNextImageProcessor and LlavaOnevisionImageProcessor: the whole picture, and the tiles of a version
// fitted into the best of several canvases; pixel_values [images, most tiles, 3, edge, edge] and image_sizes
// [images, 2], the height and width as given.
#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "image/canvas.h"
#include "image/kinds.h"
#include "image/pixels.h"

namespace farthing::image {
namespace {

constexpr std::string_view kOnevision = "LlavaOnevisionImageProcessor";

Options anyres_defaults(std::string_view type) {
  Options options{.default_to_square = false, .image_mean = kClipMean, .image_std = kClipStd, .do_pad = true};
  if (type == kOnevision) {
    options.size = {.height = 384, .width = 384};
  } else {
    options.size.shortest_edge = 224;
    options.do_center_crop = true;
    options.crop_size = {.height = 224, .width = 224};
  }
  return options;
}

std::vector<Size> default_pinpoints(std::string_view type) {
  if (type != kOnevision) return {{336, 672}, {672, 336}, {672, 672}, {1008, 336}, {336, 1008}};
  std::vector<Size> pinpoints;
  for (int rows = 1; rows <= 6; ++rows)
    for (int columns = 1; columns <= 6; ++columns) pinpoints.push_back({384 * rows, 384 * columns});
  return pinpoints;
}

std::vector<Size> read_pinpoints(const Json& config, std::string_view type) {
  const auto it = config.find("image_grid_pinpoints");
  if (it == config.end() || it->is_null()) return default_pinpoints(type);
  std::vector<Size> pinpoints;
  const Json wrapped = it->is_array() ? *it : Json::array();
  for (const Json& point : wrapped) {
    const SizeOption size = read_size({{"image_grid_pinpoints", point}}, "image_grid_pinpoints", {}, true);
    pinpoints.push_back({size.height, size.width});
  }
  FARTHING_REQUIRE(!pinpoints.empty(), Code::kInvalidArgument, "image_grid_pinpoints is not a list of sizes",
                   {}, "check preprocessor_config.json of the checkpoint");
  return pinpoints;
}

// The largest size of the picture's shape that fits the canvas.
Size fitted_size(const Size& picture, const Size& canvas) {
  const double scale_width = static_cast<double>(canvas.width) / picture.width;
  const double scale_height = static_cast<double>(canvas.height) / picture.height;
  if (scale_width < scale_height)
    return {std::min(to_edge(std::ceil(picture.height * scale_width)), canvas.height), canvas.width};
  return {canvas.height, std::min(to_edge(std::ceil(picture.width * scale_height)), canvas.width)};
}

class LlavaNextProcessor : public ImageProcessor {
 public:
  explicit LlavaNextProcessor(const Settings& settings)
      : options_(read_options(settings.image_processor, anyres_defaults(settings.type))),
        counts_pictures_(settings.type == kOnevision),
        canvases_(read_pinpoints(settings.image_processor, settings.type)),
        normalizer_(options_) {
    const SizeOption& size = options_.size;
    whole_ = size.height > 0 && size.width > 0 ? Size{size.height, size.width}
                                               : Size{size.shortest_edge, size.shortest_edge};
    tile_edge_ = options_.crop_size.height > 0 ? options_.crop_size.height : whole_.height;
    FARTHING_REQUIRE(whole_.height > 0 && tile_edge_ > 0, Code::kInvalidArgument,
                     "size of the image processor names no usable edges", {},
                     "check preprocessor_config.json of the checkpoint");
  }

  ProcessedImages process(std::span<const Image> images) const override {
    ProcessedImages result;
    if (images.empty()) return result;
    std::vector<std::vector<Image>> pictures;
    std::vector<std::int64_t> sizes;
    for (const Image& image : images) {
      pictures.push_back(tiles_of(image, result.layouts.emplace_back()));
      sizes.insert(sizes.end(), {image.height, image.width});
    }
    const auto most = std::ranges::max(pictures, {}, &std::vector<Image>::size).size();
    for (const std::vector<Image>& tiles : pictures)
      FARTHING_REQUIRE(options_.do_pad || tiles.size() == most, Code::kInvalidArgument,
                       "pictures with different numbers of tiles cannot be stacked", {},
                       "set do_pad to true in preprocessor_config.json");
    result.tensors["pixel_values"] = stack_tiles(pictures, static_cast<int>(most), normalizer_);
    result.tensors["image_sizes"] = integers({static_cast<std::int64_t>(images.size()), 2}, sizes);
    // Every picture counts as a prompt's only one, which is what transformers makes of a plain list.
    if (counts_pictures_)
      result.tensors["batch_num_images"] =
          integers({static_cast<std::int64_t>(images.size())}, std::vector<std::int64_t>(images.size(), 1));
    return result;
  }

 private:
  std::vector<Image> tiles_of(const Image& image, ImageLayout& layout) const {
    const Size canvas_size = best_canvas(size_of(image), canvases_);
    const Size fitted = fitted_size(size_of(image), canvas_size);
    Image canvas = blank(canvas_size);
    paste(resize(image, fitted.width, fitted.height, options_.resample), canvas,
          (canvas_size.width - fitted.width) / 2, (canvas_size.height - fitted.height) / 2);
    std::vector<Image> tiles = cut_into_tiles(canvas, {tile_edge_, tile_edge_});
    tiles.insert(tiles.begin(), resize(image, whole_.width, whole_.height, options_.resample));
    for (Image& tile : tiles) tile = prepare(tile, options_);
    layout = {.original_height = image.height,
              .original_width = image.width,
              .height = fitted.height,
              .width = fitted.width,
              .tile_rows = (canvas_size.height - 1) / tile_edge_ + 1,
              .tile_columns = (canvas_size.width - 1) / tile_edge_ + 1,
              .num_tiles = static_cast<int>(tiles.size())};
    return tiles;
  }

  Options options_;
  bool counts_pictures_;
  std::vector<Size> canvases_;
  Normalizer normalizer_;
  Size whole_;         // of the view of the whole picture
  int tile_edge_ = 0;  // of the squares that the canvas is cut into
};

}  // namespace

std::unique_ptr<ImageProcessor> make_llava_next_processor(const Settings& settings) {
  return std::make_unique<LlavaNextProcessor>(settings);
}

}  // namespace farthing::image
