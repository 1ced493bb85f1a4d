// What processors are made of: target sizes, crops and pads of 8-bit pictures, and their way to floats.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "image/options.h"
#include "tensor/tensor.h"

namespace farthing::image {

struct Size {
  int height = 0;
  int width = 0;
  bool operator==(const Size&) const = default;
};

inline Size size_of(const Image& image) {
  return {image.height, image.width};
}

/// Cuts a computed edge to an integer as Python's int() does. Throws kInvalidArgument unless the result is in
/// [1, 2^30).
int to_edge(double edge);

/// The size that transformers resizes a picture of size `from` to: exactly height x width, the shortest edge
/// to a length (and the longest not beyond another), or as large as fits into max_height x max_width. Throws
/// kInvalidArgument when `option` has none of these.
Size resized_size(const Size& from, const SizeOption& option);

/// Returns a picture of one colour.
Image blank(const Size& size, const std::array<std::uint8_t, 3>& colour = {0, 0, 0});

/// Copies `image` into `canvas` with its top left corner at (x, y). It must fit.
void paste(const Image& image, Image& canvas, int x, int y);

/// Resizes to `size`, then cuts `crop` out of the centre; where the picture is smaller, black surrounds it.
Image resize_and_crop(const Image& image, const Size& size, Resample resample, const Size& crop);

/// Resizes and crops as the options say.
Image prepare(const Image& image, const Options& options);

/// Cuts a picture into tiles, row by row; those at the right and the bottom may be smaller. Throws
/// kInvalidArgument for more than kMaxTiles.
inline constexpr int kMaxTiles = 1024;
std::vector<Image> cut_into_tiles(const Image& image, const Size& tile);

/// Maps bytes to floats as numpy does: byte * rescale_factor in double, rounded to float, then (x - mean) /
/// std in float.
class Normalizer {
 public:
  explicit Normalizer(const Options& options);

  /// The same with every step rounded to bfloat16, as Llama 4 does it.
  static Normalizer in_bfloat16(const Options& options);

  float value(int channel, std::uint8_t byte) const { return table_[channel][byte]; }

  /// Writes the pixels of `window` as three planes [3, plane.height, plane.width], at the top left of each.
  void write(const Image& image, const Window& window, float* planes, const Size& plane) const;
  void write(const Image& image, float* planes) const;

 private:
  Normalizer() = default;

  std::array<std::array<float, 256>, 3> table_;
};

/// Makes [images, 3, height, width]. With `pad`, smaller pictures get zeros at the right and the bottom;
/// without, throws kInvalidArgument unless all have one size.
Tensor stack(std::span<const Image> images, const Normalizer& normalizer, bool pad);

/// Makes [pictures, num_tiles, 3, height, width] of pictures that are lists of tiles of one size, with zeros
/// for the tiles that a picture lacks.
Tensor stack_tiles(std::span<const std::vector<Image>> pictures, int num_tiles, const Normalizer& normalizer);

/// Makes a tensor of integers.
Tensor integers(Shape shape, const std::vector<std::int64_t>& values);

}  // namespace farthing::image
