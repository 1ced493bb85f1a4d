// PNG through libpng: every colour type and depth, interlaced or not, brought to RGB or RGBA of 8 bits.
#include <algorithm>
#include <csetjmp>
#include <cstdio>
#include <cstring>

#include <png.h>

#include "image/codec.h"

namespace farthing::image {
namespace {

// Deflate cannot expand data by more than this.
constexpr std::uint64_t kMaxInflation = 1032;
// Text and profile chunks are not wanted; nothing we read needs more than this.
constexpr png_alloc_size_t kMaxChunkBytes = 1 << 20;

struct Reader {
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::span<const std::byte> rest;
  char message[128] = {};

  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

void on_error(png_structp png, png_const_charp message) {
  Reader& reader = *static_cast<Reader*>(png_get_error_ptr(png));
  std::snprintf(reader.message, sizeof(reader.message), "%s", message);
  png_longjmp(png, 1);
}

void on_warning(png_structp, png_const_charp) {}

void on_read(png_structp png, png_bytep to, std::size_t count) {
  Reader& reader = *static_cast<Reader*>(png_get_io_ptr(png));
  if (count > reader.rest.size()) png_error(png, "the file ends too early");
  std::memcpy(to, reader.rest.data(), count);
  reader.rest = reader.rest.subspan(count);
}

// Runs one step of libpng and tells whether it came back by itself. A step must own nothing that needs
// destroying, because an error leaves it by longjmp.
template <typename Step>
[[gnu::noinline]] bool succeeds(Reader& reader, Step step) {
  if (setjmp(png_jmpbuf(reader.png)) != 0) return false;
  step();
  return true;
}

void read_header(Reader& reader) {
  png_set_read_fn(reader.png, &reader, on_read);
  png_set_user_limits(reader.png, 0x7fffffff, 0x7fffffff);  // judged by check_dimensions()
  png_set_chunk_malloc_max(reader.png, kMaxChunkBytes);
  png_read_info(reader.png, reader.info);
}

bool is_deep_grey(const Reader& reader) {
  return png_get_color_type(reader.png, reader.info) == PNG_COLOR_TYPE_GRAY &&
         png_get_bit_depth(reader.png, reader.info) == 16;
}

// Palette, few bits, grey and 16 bits become RGB, or RGBA where anything is transparent; 16-bit grey by
// itself stays, see clip_deep_grey().
void request_rgb(Reader& reader) {
  if (!is_deep_grey(reader)) {
    png_set_expand(reader.png);
    png_set_strip_16(reader.png);
    png_set_gray_to_rgb(reader.png);
  }
  png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
}

// Numbers of two bytes, the high one first, to RGB. PIL clips them where it takes the high byte of any other
// picture of 16 bits.
void clip_deep_grey(Raster& raster) {
  std::vector<std::uint8_t> rgb(raster.pixels.size() / 2 * 3);
  for (std::size_t i = 0; i < rgb.size() / 3; ++i)
    std::fill_n(rgb.data() + i * 3, 3, raster.pixels[i * 2] == 0 ? raster.pixels[i * 2 + 1] : 255);
  raster.pixels = std::move(rgb);
  raster.channels = 3;
}

// Fewest bytes that a compressed file of these dimensions can have.
std::uint64_t least_bytes(const Reader& reader) {
  const std::uint64_t bits_per_row = std::uint64_t{png_get_image_width(reader.png, reader.info)} *
                                     png_get_bit_depth(reader.png, reader.info) *
                                     png_get_channels(reader.png, reader.info);
  return bits_per_row / 8 * png_get_image_height(reader.png, reader.info) / kMaxInflation;
}

int orientation_of(const Reader& reader) {
  png_uint_32 size = 0;
  png_bytep block = nullptr;
  if (png_get_eXIf_1(reader.png, reader.info, &size, &block) == 0) return 1;
  return exif_orientation({reinterpret_cast<const std::byte*>(block), size});
}

}  // namespace

Raster read_png(std::span<const std::byte> bytes, std::string_view origin) {
  Reader reader;
  reader.rest = bytes;
  reader.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reader, on_error, on_warning);
  if (reader.png != nullptr) reader.info = png_create_info_struct(reader.png);
  FARTHING_REQUIRE(reader.info != nullptr, Code::kResources, "cannot start the PNG decoder",
                   {{"file", origin}});

  if (!succeeds(reader, [&] { read_header(reader); })) throw corrupt_image("PNG", origin, reader.message);
  check_dimensions(png_get_image_width(reader.png, reader.info),
                   png_get_image_height(reader.png, reader.info), origin);
  if (bytes.size() < least_bytes(reader)) throw corrupt_image("PNG", origin, "too short for its dimensions");
  if (!succeeds(reader, [&] { request_rgb(reader); })) throw corrupt_image("PNG", origin, reader.message);

  Raster raster;
  raster.width = static_cast<int>(png_get_image_width(reader.png, reader.info));
  raster.height = static_cast<int>(png_get_image_height(reader.png, reader.info));
  raster.channels = png_get_channels(reader.png, reader.info);
  const bool deep_grey = is_deep_grey(reader);
  if (deep_grey) raster.channels = 2;  // bytes of one number
  FARTHING_CHECK(deep_grey || raster.channels == 3 || raster.channels == 4);
  const std::size_t stride = png_get_rowbytes(reader.png, reader.info);
  FARTHING_CHECK(stride == static_cast<std::size_t>(raster.width) * raster.channels);
  raster.pixels.resize(stride * raster.height);
  std::vector<png_bytep> rows(raster.height);
  for (int y = 0; y < raster.height; ++y) rows[y] = raster.pixels.data() + y * stride;
  if (!succeeds(reader, [&] { png_read_image(reader.png, rows.data()); }))
    throw corrupt_image("PNG", origin, reader.message);
  // EXIF may follow the pixels; a damaged end does not matter any more.
  succeeds(reader, [&] { png_read_end(reader.png, reader.info); });
  raster.orientation = orientation_of(reader);
  if (deep_grey) clip_deep_grey(raster);
  return raster;
}

}  // namespace farthing::image
