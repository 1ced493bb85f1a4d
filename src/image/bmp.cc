// BMP: 1 to 32 bits per pixel, palettes, bit masks, both run-length codings, rows in either order. The format
// is Microsoft's BITMAPFILEHEADER followed by one of six generations of an info header.
#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>

#include "image/codec.h"

namespace farthing::image {
namespace {

constexpr std::size_t kFileHeaderSize = 14;
constexpr std::uint32_t kCoreHeaderSize = 12;  // OS/2 1.x: 16-bit dimensions, three-byte palette entries
constexpr std::uint32_t kInfoHeaderSize = 40;
constexpr std::uint32_t kAlphaHeaderSize = 56;  // from here on the header has an alpha mask

enum Compression : std::uint32_t { kRaw = 0, kRle8 = 1, kRle4 = 2, kBitFields = 3, kAlphaBitFields = 6 };

using Colour = std::array<std::uint8_t, 3>;

// Little-endian numbers and checks that name the file.
class Bytes {
 public:
  Bytes(std::span<const std::byte> bytes, std::string_view origin) : bytes_(bytes), origin_(origin) {}

  std::size_t size() const { return bytes_.size(); }
  std::uint8_t byte(std::size_t offset) const { return static_cast<std::uint8_t>(number(offset, 1)); }
  std::uint32_t number(std::size_t offset, std::size_t width) const {
    require(offset <= bytes_.size() && bytes_.size() - offset >= width, "the file ends too early");
    std::uint32_t value = 0;
    for (std::size_t i = width; i-- > 0;)
      value = value << 8 | std::to_integer<std::uint32_t>(bytes_[offset + i]);
    return value;
  }
  void require(bool condition, std::string_view reason) const {
    if (!condition) throw corrupt_image("BMP", origin_, reason);
  }

 private:
  std::span<const std::byte> bytes_;
  std::string_view origin_;
};

struct Header {
  std::size_t pixel_offset = 0;
  std::uint32_t size = 0;  // of the info header
  int width = 0;
  int height = 0;
  bool top_down = false;
  int bits = 0;
  std::uint32_t compression = kRaw;
  std::uint32_t num_colours = 0;
  std::array<std::uint32_t, 4> masks{};  // red, green, blue, alpha
};

void read_masks(const Bytes& file, Header& header) {
  if (header.compression == kBitFields || header.compression == kAlphaBitFields) {
    const bool has_alpha = header.size >= kAlphaHeaderSize || header.compression == kAlphaBitFields;
    for (std::size_t i = 0; i < (has_alpha ? 4 : 3); ++i)
      header.masks[i] = file.number(kFileHeaderSize + kInfoHeaderSize + i * 4, 4);
  } else if (header.bits == 16) {
    header.masks = {0x7c00, 0x03e0, 0x001f, 0};
  } else {
    header.masks = {0xff0000, 0x00ff00, 0x0000ff, 0};
  }
}

Header read_header(const Bytes& file, std::string_view origin) {
  Header header;
  header.pixel_offset = file.number(10, 4);
  header.size = file.number(kFileHeaderSize, 4);
  std::int64_t width = 0;
  std::int64_t height = 0;
  if (header.size == kCoreHeaderSize) {
    width = file.number(18, 2);
    height = file.number(20, 2);
    header.bits = static_cast<int>(file.number(24, 2));
  } else {
    file.require(header.size >= kInfoHeaderSize && header.size <= 1024, "unknown header");
    width = static_cast<std::int32_t>(file.number(18, 4));
    height = static_cast<std::int32_t>(file.number(22, 4));
    header.bits = static_cast<int>(file.number(28, 2));
    header.compression = file.number(30, 4);
    header.num_colours = file.number(46, 4);
  }
  header.top_down = height < 0;
  height = std::abs(height);
  check_dimensions(width, height, origin);
  header.width = static_cast<int>(width);
  header.height = static_cast<int>(height);
  read_masks(file, header);
  return header;
}

// Missing entries are black.
std::array<Colour, 256> read_palette(const Bytes& file, const Header& header) {
  std::array<Colour, 256> palette{};
  const std::size_t entry_size = header.size == kCoreHeaderSize ? 3 : 4;
  const std::size_t begin = kFileHeaderSize + header.size;
  const std::uint32_t most = 1u << header.bits;
  const std::uint32_t count = header.num_colours == 0 ? most : std::min(header.num_colours, most);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::size_t entry = begin + i * entry_size;
    if (entry + entry_size > std::min(file.size(), std::max(header.pixel_offset, begin))) break;
    palette[i] = {file.byte(entry + 2), file.byte(entry + 1), file.byte(entry)};
  }
  return palette;
}

// Widens the bits under a mask to 8 bits as PIL does: value * 255 / largest value, rounded down.
std::uint8_t masked(std::uint32_t pixel, std::uint32_t mask) {
  if (mask == 0) return 0;
  const int shift = std::countr_zero(mask);
  const std::uint64_t largest = mask >> shift;
  return static_cast<std::uint8_t>(((pixel & mask) >> shift) * std::uint64_t{255} / largest);
}

class Canvas {
 public:
  explicit Canvas(const Header& header) : header_(header) {
    raster_.width = header.width;
    raster_.height = header.height;
    raster_.channels = header.bits > 8 && header.masks[3] != 0 ? 4 : 3;
    raster_.pixels.resize(static_cast<std::size_t>(header.width) * header.height * raster_.channels);
  }
  // Pixel x of the y-th row of the file.
  std::uint8_t* at(int x, int y) {
    const int row = header_.top_down ? y : header_.height - 1 - y;
    return raster_.pixels.data() + (static_cast<std::size_t>(row) * header_.width + x) * raster_.channels;
  }
  int channels() const { return raster_.channels; }
  Raster take() { return std::move(raster_); }

 private:
  const Header& header_;
  Raster raster_;
};

void read_palette_rows(const Bytes& file, const Header& header, std::size_t stride, Canvas& canvas) {
  const std::array<Colour, 256> palette = read_palette(file, header);
  const int per_byte = 8 / header.bits;
  const int mask = (1 << header.bits) - 1;
  for (int y = 0; y < header.height; ++y) {
    const std::size_t row = header.pixel_offset + y * stride;
    for (int x = 0; x < header.width; ++x) {
      const int shift = (per_byte - 1 - x % per_byte) * header.bits;
      std::ranges::copy(palette[file.byte(row + x / per_byte) >> shift & mask], canvas.at(x, y));
    }
  }
}

void read_mask_rows(const Bytes& file, const Header& header, std::size_t stride, Canvas& canvas) {
  const std::size_t num_bytes = header.bits / 8;
  for (int y = 0; y < header.height; ++y) {
    const std::size_t row = header.pixel_offset + y * stride;
    for (int x = 0; x < header.width; ++x) {
      const std::uint32_t pixel = file.number(row + x * num_bytes, num_bytes);
      for (int c = 0; c < canvas.channels(); ++c) canvas.at(x, y)[c] = masked(pixel, header.masks[c]);
    }
  }
}

// Pairs (count, value); a count of 0 introduces end of line (0), end of picture (1), a jump (2) or that many
// literal pixels, padded to an even number of bytes. Pixels that no code reaches have colour 0.
class RunLengthReader {
 public:
  RunLengthReader(const Bytes& file, const Header& header, Canvas& canvas)
      : file_(file), header_(header), canvas_(canvas), palette_(read_palette(file, header)) {}

  void read() {
    for (int y = 0; y < header_.height; ++y)
      for (int x = 0; x < header_.width; ++x) std::ranges::copy(palette_[0], canvas_.at(x, y));
    std::size_t offset = header_.pixel_offset;
    while (y_ < header_.height) {
      const int count = file_.byte(offset);
      const int value = file_.byte(offset + 1);
      offset += 2;
      if (count > 0) {
        for (int i = 0; i < count; ++i) put(index(value, i));
      } else if (value == 0) {
        next_line();
      } else if (value == 1) {
        return;
      } else if (value == 2) {
        x_ = std::min<std::int64_t>(x_ + file_.byte(offset), header_.width);
        y_ += file_.byte(offset + 1);
        offset += 2;
      } else {
        offset = read_literals(offset, value);
      }
    }
  }

 private:
  bool nibbles() const { return header_.compression == kRle4; }
  int index(int value, int i) const { return !nibbles() ? value : i % 2 == 0 ? value >> 4 : value & 15; }
  void next_line() {
    x_ = 0;
    ++y_;
  }
  void put(int colour) {
    if (x_ < header_.width && y_ < header_.height)
      std::ranges::copy(palette_[colour], canvas_.at(static_cast<int>(x_++), static_cast<int>(y_)));
  }
  std::size_t read_literals(std::size_t offset, int count) {
    for (int i = 0; i < count; ++i) put(index(file_.byte(offset + (nibbles() ? i / 2 : i)), i));
    const std::size_t num_bytes = nibbles() ? (count + 1) / 2 : count;
    return offset + num_bytes + num_bytes % 2;
  }

  const Bytes& file_;
  const Header& header_;
  Canvas& canvas_;
  std::array<Colour, 256> palette_;
  std::int64_t x_ = 0;
  std::int64_t y_ = 0;
};

bool is_known(const Header& header) {
  switch (header.compression) {
    case kRaw:
      return header.bits == 1 || header.bits == 4 || header.bits == 8 || header.bits == 16 ||
             header.bits == 24 || header.bits == 32;
    case kRle8:
      return header.bits == 8;
    case kRle4:
      return header.bits == 4;
    case kBitFields:
    case kAlphaBitFields:
      return header.bits == 16 || header.bits == 32;
    default:
      return false;
  }
}

}  // namespace

Raster read_bmp(std::span<const std::byte> bytes, std::string_view origin) {
  const Bytes file(bytes, origin);
  const Header header = read_header(file, origin);
  FARTHING_REQUIRE(is_known(header), Code::kUnsupported, "this kind of BMP is not supported",
                   {{"file", origin}, {"bits", header.bits}, {"compression", header.compression}},
                   "convert the picture to PNG");
  if (header.compression == kRle8 || header.compression == kRle4) {
    // Two bytes write at most 255 pixels. Only jumps cover more, which no large picture lives on.
    const std::uint64_t num_pixels = std::uint64_t(header.width) * header.height;
    file.require(num_pixels <= std::max<std::uint64_t>(1 << 20, file.size() * 128),
                 "too short for its dimensions");
    Canvas canvas(header);
    RunLengthReader(file, header, canvas).read();
    return canvas.take();
  }
  const std::size_t row_bits = static_cast<std::size_t>(header.width) * header.bits;
  const std::size_t stride = (row_bits + 31) / 32 * 4;
  // The padding of the last row may be missing.
  const std::size_t end = header.pixel_offset + stride * (header.height - 1) + (row_bits + 7) / 8;
  file.require(end <= file.size(), "the file ends before its pixels");
  Canvas canvas(header);
  if (header.bits <= 8)
    read_palette_rows(file, header, stride, canvas);
  else
    read_mask_rows(file, header, stride, canvas);
  return canvas.take();
}

}  // namespace farthing::image
