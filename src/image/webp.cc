// WebP through libwebp; still pictures only.
#include <cstring>

#include <webp/decode.h>

#include "image/codec.h"

namespace farthing::image {
namespace {

std::uint32_t little_endian(std::span<const std::byte> bytes, std::size_t offset) {
  std::uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | std::to_integer<std::uint32_t>(bytes[offset + i]);
  return value;
}

// Walks the RIFF chunks: four letters, a length, the data padded to an even length.
int orientation_of(std::span<const std::byte> file) {
  std::size_t offset = 12;  // "RIFF", length, "WEBP"
  while (offset + 8 <= file.size()) {
    const std::size_t length = little_endian(file, offset + 4);
    const std::span<const std::byte> data = file.subspan(offset + 8);
    if (length > data.size()) return 1;
    if (std::memcmp(file.data() + offset, "EXIF", 4) == 0) return exif_orientation(data.first(length));
    offset += 8 + length + length % 2;
  }
  return 1;
}

std::string_view reason(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA:
    case VP8_STATUS_SUSPENDED:
      return "the file ends too early";
    case VP8_STATUS_OUT_OF_MEMORY:
      return "not enough memory";
    default:
      return "not a valid WebP stream";
  }
}

}  // namespace

Raster read_webp(std::span<const std::byte> bytes, std::string_view origin) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  WebPDecoderConfig config;
  FARTHING_CHECK(WebPInitDecoderConfig(&config));
  if (const VP8StatusCode status = WebPGetFeatures(data, bytes.size(), &config.input);
      status != VP8_STATUS_OK)
    throw corrupt_image("WebP", origin, reason(status));
  FARTHING_REQUIRE(!config.input.has_animation, Code::kUnsupported, "an animated WebP is not a picture",
                   {{"file", origin}}, "save one frame as a still picture");
  check_dimensions(config.input.width, config.input.height, origin);

  Raster raster;
  raster.width = config.input.width;
  raster.height = config.input.height;
  raster.channels = config.input.has_alpha ? 4 : 3;
  const std::size_t stride = static_cast<std::size_t>(raster.width) * raster.channels;
  raster.pixels.resize(stride * raster.height);
  config.output.colorspace = config.input.has_alpha ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {raster.pixels.data(), static_cast<int>(stride), raster.pixels.size()};
  const VP8StatusCode status = WebPDecode(data, bytes.size(), &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) throw corrupt_image("WebP", origin, reason(status));
  raster.orientation = orientation_of(bytes);
  return raster;
}

}  // namespace farthing::image
