// Phi3VImageProcessor (Phi-3-vision, Phi-3.5-vision; the model's own code): the picture as large as a number
// of tiles allows, on white, and the whole once more; pixel_values [images, num_crops + 1, 3, 336, 336] with
// the global view first, image_sizes [images, 2] (of the padded picture) and num_img_tokens [images].
#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "image/kinds.h"
#include "image/pixels.h"

namespace farthing::image {
namespace {

constexpr int kTile = 336;  // fixed in the model's code, as are the 12 x 12 features of a tile
constexpr int kTokensPerSide = 12;

Options phi3_v_defaults() {
  return {.image_mean = kClipMean, .image_std = kClipStd};
}

Image transposed(const Image& image) {
  Image result = blank({image.width, image.height});
  for (int y = 0; y < result.height; ++y)
    for (int x = 0; x < result.width; ++x)
      std::copy_n(image.row(x) + static_cast<std::size_t>(y) * 3, 3,
                  result.row(y) + static_cast<std::size_t>(x) * 3);
  return result;
}

// One axis of torch's bicubic interpolation without antialiasing (a = -0.75, corners not aligned): where the
// four taps begin, not yet kept inside, and their weights.
struct Taps {
  int begin;
  std::array<float, 4> weights;
};

Taps taps_of(int i, float scale) {
  constexpr float a = -0.75f;
  const auto near = [](float x) { return ((a + 2) * x - (a + 3)) * x * x + 1; };
  const auto far = [](float x) { return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a; };
  const float position = scale * (static_cast<float>(i) + 0.5f) - 0.5f;
  const float floor = std::floor(position);
  const float t = position - floor;
  return {static_cast<int>(floor) - 1, {far(t + 1), near(t), near(1 - t), far(2 - t)}};
}

// The normalised picture [3, height, width] brought to [3, kTile, kTile].
void interpolate(std::span<const float> planes, const Size& size, float* to) {
  const float scale_y = static_cast<float>(size.height) / kTile;
  const float scale_x = static_cast<float>(size.width) / kTile;
  for (int c = 0; c < 3; ++c) {
    const float* plane = planes.data() + static_cast<std::size_t>(c) * size.height * size.width;
    for (int y = 0; y < kTile; ++y) {
      const Taps down = taps_of(y, scale_y);
      for (int x = 0; x < kTile; ++x) {
        const Taps across = taps_of(x, scale_x);
        float sum = 0;
        for (int i = 0; i < 4; ++i) {
          const float* row =
              plane + static_cast<std::size_t>(std::clamp(down.begin + i, 0, size.height - 1)) * size.width;
          float part = 0;
          for (int k = 0; k < 4; ++k)
            part += across.weights[k] * row[std::clamp(across.begin + k, 0, size.width - 1)];
          sum += down.weights[i] * part;
        }
        *to++ = sum;
      }
    }
  }
}

class Phi3VProcessor : public ImageProcessor {
 public:
  explicit Phi3VProcessor(const Settings& settings)
      : options_(read_options(settings.image_processor, phi3_v_defaults())),
        num_crops_(read_count(settings.image_processor, "num_crops", 1, kMaxTiles - 1)),
        normalizer_(options_) {}

  ProcessedImages process(std::span<const Image> images) const override {
    ProcessedImages result;
    if (images.empty()) return result;
    const auto num_images = static_cast<std::int64_t>(images.size());
    Tensor pixel_values = Tensor::zeros(DType::kF32, {num_images, num_crops_ + 1, 3, kTile, kTile});
    float* to = pixel_values.mutable_data<float>();
    std::vector<std::int64_t> sizes, counts;
    for (const Image& image : images) {
      const Image picture =
          image.width < image.height ? transposed(on_tiles(transposed(image))) : on_tiles(image);
      write(picture, to);
      to += static_cast<std::size_t>(num_crops_ + 1) * 3 * kTile * kTile;
      result.layouts.push_back(layout_of(image, picture));
      sizes.insert(sizes.end(), {picture.height, picture.width});
      counts.push_back(result.layouts.back().num_feature_tokens);
    }
    result.tensors["pixel_values"] = std::move(pixel_values);
    result.tensors["image_sizes"] = integers({num_images, 2}, sizes);
    result.tensors["num_img_tokens"] = integers({num_images}, counts);
    return result;
  }

 private:
  // A picture at least as wide as high: as many tiles across as the budget allows, white above and below.
  Image on_tiles(const Image& image) const {
    const double ratio = static_cast<double>(image.width) / image.height;
    int columns = 1;
    while ((columns + 1) * std::ceil((columns + 1) / ratio) <= num_crops_) ++columns;
    const int width = columns * kTile;
    const int height = to_edge(width / ratio);
    const int padded = (height - 1) / kTile * kTile + kTile;
    Image canvas = blank({padded, width}, {255, 255, 255});
    paste(resize(image, width, height, Resample::kBilinear), canvas, 0, (padded - height) / 2);
    return canvas;
  }

  void write(const Image& picture, float* to) const {
    constexpr std::size_t kTileElements = 3 * kTile * kTile;
    std::vector<float> planes(picture.rgb.size());
    normalizer_.write(picture, planes.data());
    interpolate(planes, size_of(picture), to);
    for (const Image& tile : cut_into_tiles(picture, {kTile, kTile}))
      normalizer_.write(tile, to += kTileElements);
  }

  static ImageLayout layout_of(const Image& image, const Image& picture) {
    ImageLayout layout{.original_height = image.height,
                       .original_width = image.width,
                       .height = picture.height,
                       .width = picture.width,
                       .tile_rows = picture.height / kTile,
                       .tile_columns = picture.width / kTile};
    layout.num_tiles = layout.tile_rows * layout.tile_columns + 1;
    // Every row of features ends with a separator, and one stands between the tiles and the global view.
    const int tokens_per_tile = kTokensPerSide * kTokensPerSide;
    layout.num_feature_tokens =
        layout.num_tiles * tokens_per_tile + 1 + (layout.tile_rows + 1) * kTokensPerSide;
    return layout;
  }

  Options options_;
  int num_crops_;
  Normalizer normalizer_;
};

}  // namespace

std::unique_ptr<ImageProcessor> make_phi3_v_processor(const Settings& settings) {
  return std::make_unique<Phi3VProcessor>(settings);
}

}  // namespace farthing::image
