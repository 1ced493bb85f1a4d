#include "image/image.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "image/codec.h"

namespace farthing::image {
namespace {

bool starts_with(std::span<const std::byte> bytes, std::string_view magic, std::size_t offset = 0) {
  return bytes.size() >= offset + magic.size() &&
         std::memcmp(bytes.data() + offset, magic.data(), magic.size()) == 0;
}

// The name of a format that we recognise but do not read, for the error message.
std::string_view unread_format(std::span<const std::byte> bytes) {
  if (starts_with(bytes, "GIF8")) return "GIF";
  if (starts_with(bytes, std::string_view("II*\0", 4)) || starts_with(bytes, std::string_view("MM\0*", 4)))
    return "TIFF";
  if (starts_with(bytes, "ftypavif", 4)) return "AVIF";
  if (starts_with(bytes, "ftyp", 4)) return "HEIF or video";
  if (starts_with(bytes, "%PDF")) return "PDF";
  if (starts_with(bytes, "<svg") || starts_with(bytes, "<?xml")) return "SVG";
  return "unknown";
}

Raster read_raster(std::span<const std::byte> bytes, std::string_view origin) {
  if (starts_with(bytes, "\xff\xd8\xff")) return read_jpeg(bytes, origin);
  if (starts_with(bytes, "\x89PNG\r\n\x1a\n")) return read_png(bytes, origin);
  if (starts_with(bytes, "RIFF") && starts_with(bytes, "WEBP", 8)) return read_webp(bytes, origin);
  if (starts_with(bytes, "BM")) return read_bmp(bytes, origin);
  FARTHING_REQUIRE(!bytes.empty(), Code::kCorruptData, "the picture file is empty", {{"file", origin}});
  throw Error(Code::kUnsupported, "not a picture of a known format",
              {{"file", origin}, {"format", unread_format(bytes)}, {"known", "JPEG, PNG, WebP, BMP"}},
              "convert the picture to JPEG or PNG");
}

// PIL's alpha_composite over opaque white: 7 extra bits, and a division by 255 made of shifts.
std::uint8_t over_white(int colour, int alpha) {
  const int weighted = colour * (alpha * 128) + 255 * (255 * 128 - alpha * 128) + (0x80 << 7);
  return static_cast<std::uint8_t>((((weighted >> 8) + weighted) >> 8) >> 7);
}

Image flatten(Raster&& raster, Alpha policy) {
  Image image{raster.width, raster.height, {}};
  if (raster.channels == 3) {
    image.rgb = std::move(raster.pixels);
    return image;
  }
  const std::size_t count = raster.pixels.size() / 4;
  image.rgb.resize(count * 3);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t* from = raster.pixels.data() + i * 4;
    std::uint8_t* to = image.rgb.data() + i * 3;
    for (int c = 0; c < 3; ++c) to[c] = policy == Alpha::kDrop ? from[c] : over_white(from[c], from[3]);
  }
  return image;
}

// Turns and mirrors the stored picture so that it stands as the camera saw it. Orientations 5 to 8 swap the
// axes; of the others 2 and 3 mirror x, 3 and 4 mirror y. After a swap, 7 and 8 read the stored picture from
// the right, 6 and 7 from the bottom.
Image upright(Image&& stored, int orientation) {
  if (orientation == 1) return std::move(stored);
  const bool swap = orientation >= 5;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image result{swap ? stored.height : stored.width, swap ? stored.width : stored.height, {}};
  result.rgb.resize(stored.rgb.size());
  for (int y = 0; y < result.height; ++y) {
    std::uint8_t* to = result.row(y);
    for (int x = 0; x < result.width; ++x, to += 3) {
      const int along = swap ? y : x;
      const int down = swap ? x : y;
      const int from_x = from_right ? stored.width - 1 - along : along;
      const int from_y = from_bottom ? stored.height - 1 - down : down;
      std::copy_n(stored.row(from_y) + from_x * 3, 3, to);
    }
  }
  return result;
}

}  // namespace

void check_dimensions(std::int64_t width, std::int64_t height, std::string_view origin) {
  FARTHING_REQUIRE(width > 0 && height > 0, Code::kCorruptData, "the picture has no pixels",
                   {{"file", origin}, {"width", width}, {"height", height}});
  FARTHING_REQUIRE(width <= kMaxEdge && height <= kMaxEdge && width <= kMaxPixels / height, Code::kResources,
                   "the picture is too large",
                   {{"file", origin},
                    {"width", width},
                    {"height", height},
                    {"max_edge", kMaxEdge},
                    {"max_pixels", kMaxPixels}},
                   "shrink the picture first");
}

Error corrupt_image(std::string_view format, std::string_view origin, std::string_view reason) {
  return Error(Code::kCorruptData, "the picture file is damaged or truncated",
               {{"file", origin}, {"format", format}, {"reason", reason}}, "fetch the file again");
}

Image decode(std::span<const std::byte> bytes, std::string_view origin, const DecodeOptions& options) {
  Raster raster = read_raster(bytes, origin);
  const int orientation = raster.orientation;
  return upright(flatten(std::move(raster), options.alpha), orientation);
}

Image open(const std::filesystem::path& file, const DecodeOptions& options) {
  const MappedFile mapping(file);
  return decode(mapping.bytes(), file.string(), options);
}

Image crop(const Image& image, const Window& window) {
  FARTHING_CHECK(window.x >= 0 && window.y >= 0 && window.width > 0 && window.height > 0 &&
                 window.width <= image.width - window.x && window.height <= image.height - window.y);
  Image result{window.width, window.height, {}};
  result.rgb.resize(static_cast<std::size_t>(window.width) * window.height * 3);
  for (int y = 0; y < window.height; ++y)
    std::copy_n(image.row(window.y + y) + window.x * 3, window.width * 3, result.row(y));
  return result;
}

}  // namespace farthing::image
