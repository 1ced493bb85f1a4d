// Resizing with PIL's arithmetic, or torch's: the pixels of Image.resize, bit for bit.
#pragma once

#include <cstdint>

#include "image/image.h"

namespace farthing::image {

/// The filters, numbered as the key `resample` of preprocessor_config.json has them.
enum class Resample : std::uint8_t {
  kNearest = 0,
  kLanczos = 1,
  kBilinear = 2,
  kBicubic = 3,
  kBox = 4,
  kHamming = 5
};

/// Whose fixed-point numbers are used. torch has, for antialiased bilinear and bicubic resizing of 8-bit
/// pictures, weights of 16 bits and always the horizontal pass first.
enum class Arithmetic : std::uint8_t { kPillow, kTorch };

/// Returns `image` brought to width x height. As in Pillow 13, shrinking widens the filter (antialiasing),
/// weights are fixed-point numbers with 22 fractional bits, each pass rounds to 8 bits, an axis that keeps
/// its length is left alone, and the horizontal pass comes first unless the height shrinks much more than the
/// width (then older versions differ by the rounding between the passes). Throws kInvalidArgument when the
/// new size is not positive or beyond kMaxPixels or kMaxEdge.
Image resize(const Image& image, int width, int height, Resample resample,
             Arithmetic arithmetic = Arithmetic::kPillow);

/// Returns the pixels that crop(resize(image, width, height, resample), window) has, without making the
/// others.
Image resize_window(const Image& image, int width, int height, Resample resample, const Window& window);

}  // namespace farthing::image
