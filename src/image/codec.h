// The decoders behind image::decode(), one source file per format. Each checks its own file thoroughly and
// never allocates more than the file's length can justify or kMaxPixels allows.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "image/image.h"

namespace farthing::image {

/// What a file holds before its orientation and transparency are dealt with.
struct Raster {
  int width = 0;
  int height = 0;
  int channels = 3;                  // 3: RGB, 4: RGBA with straight alpha
  int orientation = 1;               // EXIF, 1 to 8
  std::vector<std::uint8_t> pixels;  // height * width * channels
};

Raster read_jpeg(std::span<const std::byte> bytes, std::string_view origin);
Raster read_png(std::span<const std::byte> bytes, std::string_view origin);
Raster read_webp(std::span<const std::byte> bytes, std::string_view origin);
Raster read_bmp(std::span<const std::byte> bytes, std::string_view origin);

/// Returns the orientation tag (1 to 8) of a TIFF-structured EXIF block, with or without the leading
/// "Exif\0\0"; 1 when there is none or the block is damaged.
int exif_orientation(std::span<const std::byte> block);

/// Throws kCorruptData unless both edges are positive, kResources beyond kMaxEdge or kMaxPixels.
void check_dimensions(std::int64_t width, std::int64_t height, std::string_view origin);

/// Builds the error of a damaged file; `reason` is what the decoder said.
Error corrupt_image(std::string_view format, std::string_view origin, std::string_view reason);

}  // namespace farthing::image
