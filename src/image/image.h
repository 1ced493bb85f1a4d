// Pictures as bytes in memory, and the decoders that make them from JPEG, PNG, WebP and BMP files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace farthing::image {

/// A picture of interleaved 8-bit RGB pixels, rows from top to bottom without padding.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;  // height * width * 3

  const std::uint8_t* row(int y) const { return rgb.data() + static_cast<std::size_t>(y) * width * 3; }
  std::uint8_t* row(int y) { return rgb.data() + static_cast<std::size_t>(y) * width * 3; }
};

/// A rectangle of pixels inside a picture.
struct Window {
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;
};

/// The largest picture that is decoded or made, in pixels: where PIL stops too.
inline constexpr std::int64_t kMaxPixels = 178956970;
/// The longest edge, in pixels: tables for one axis stay small.
inline constexpr std::int64_t kMaxEdge = 1 << 20;

/// What becomes of an alpha channel or a transparent colour.
enum class Alpha : std::uint8_t {
  kDrop,       // colours as stored, as PIL's convert("RGB") leaves them
  kOverWhite,  // composited over white, as Mllama does it
};

struct DecodeOptions {
  Alpha alpha = Alpha::kDrop;
};

/// Decodes a JPEG, PNG, WebP or BMP file held in memory, found out by its first bytes, with the EXIF
/// orientation applied. Pixels are those of PIL's convert("RGB"); so 16-bit grey is clipped to 255. `origin`
/// names the file in errors. Throws kUnsupported for other formats, kCorruptData for truncated or damaged
/// files, kResources beyond kMaxPixels or kMaxEdge.
Image decode(std::span<const std::byte> bytes, std::string_view origin, const DecodeOptions& options = {});

/// Reads and decodes a file. Throws as decode() does, and kNotFound or kIo.
Image open(const std::filesystem::path& file, const DecodeOptions& options = {});

/// Copies a rectangle, which must lie inside the picture.
Image crop(const Image& image, const Window& window);

}  // namespace farthing::image
