// JPEG through libjpeg-turbo with its defaults, which are PIL's: the slow integer IDCT and fancy upsampling.
#include <algorithm>
#include <csetjmp>
#include <cstdio>  // before jpeglib.h, which uses FILE and size_t
#include <cstring>

#include <jerror.h>
#include <jpeglib.h>

#include "image/codec.h"

namespace farthing::image {
namespace {

// A file of a few kilobytes can hold thousands of progressive scans that each cost a pass over the picture.
constexpr int kMaxScans = 500;
constexpr int kRowsPerStep = 16;

// The decompressor, its error handler and its source. Callbacks get back here through client_data.
struct Decompressor {
  jpeg_decompress_struct info{};
  jpeg_error_mgr errors{};
  jpeg_source_mgr source{};
  jpeg_progress_mgr progress{};
  std::jmp_buf escape;
  char message[JMSG_LENGTH_MAX] = {};
  bool ran_dry = false;       // libjpeg asked for bytes beyond the end
  bool data_missing = false;  // entropy-coded data ended too early
  bool created = false;

  ~Decompressor() {
    if (created) jpeg_destroy_decompress(&info);
  }
};

Decompressor& owner(j_common_ptr info) {
  return *static_cast<Decompressor*>(info->client_data);
}
Decompressor& owner(j_decompress_ptr info) {
  return *static_cast<Decompressor*>(info->client_data);
}

void on_error(j_common_ptr info) {
  info->err->format_message(info, owner(info).message);
  std::longjmp(owner(info).escape, 1);
}

void on_message(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code == JWRN_HIT_MARKER) owner(info).data_missing = true;
}

void on_progress(j_common_ptr info) {
  if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= kMaxScans) return;
  std::snprintf(owner(info).message, JMSG_LENGTH_MAX, "more than %d scans", kMaxScans);
  std::longjmp(owner(info).escape, 1);
}

// Past the end libjpeg is fed end-of-image markers; whether anything was missing is judged afterwards.
boolean on_end_of_input(j_decompress_ptr info) {
  static const JOCTET kEndOfImage[] = {0xff, JPEG_EOI};
  owner(info).ran_dry = true;
  info->src->next_input_byte = kEndOfImage;
  info->src->bytes_in_buffer = sizeof(kEndOfImage);
  return TRUE;
}

void skip_input(j_decompress_ptr info, long count) {
  if (count <= 0) return;
  if (static_cast<std::size_t>(count) > info->src->bytes_in_buffer) {
    on_end_of_input(info);
    return;
  }
  info->src->next_input_byte += count;
  info->src->bytes_in_buffer -= static_cast<std::size_t>(count);
}

// Runs one step of libjpeg and tells whether it came back by itself. A step must own nothing that needs
// destroying, because an error leaves it by longjmp.
template <typename Step>
[[gnu::noinline]] bool succeeds(Decompressor& decompressor, Step step) {
  if (setjmp(decompressor.escape) != 0) return false;
  step();
  return true;
}

void start(Decompressor& decompressor, std::span<const std::byte> bytes) {
  jpeg_decompress_struct& info = decompressor.info;
  info.err = jpeg_std_error(&decompressor.errors);
  info.client_data = &decompressor;
  decompressor.errors.error_exit = on_error;
  decompressor.errors.emit_message = on_message;
  jpeg_create_decompress(&info);
  decompressor.created = true;
  decompressor.source.next_input_byte = reinterpret_cast<const JOCTET*>(bytes.data());
  decompressor.source.bytes_in_buffer = bytes.size();
  decompressor.source.init_source = [](j_decompress_ptr) {};
  decompressor.source.fill_input_buffer = on_end_of_input;
  decompressor.source.skip_input_data = skip_input;
  decompressor.source.resync_to_restart = jpeg_resync_to_restart;
  decompressor.source.term_source = [](j_decompress_ptr) {};
  info.src = &decompressor.source;
  decompressor.progress.progress_monitor = on_progress;
  info.progress = &decompressor.progress;
  jpeg_save_markers(&info, JPEG_APP0 + 1, 0xffff);
  jpeg_read_header(&info, TRUE);
}

int orientation_of(const jpeg_decompress_struct& info) {
  for (jpeg_saved_marker_ptr marker = info.marker_list; marker != nullptr; marker = marker->next) {
    if (marker->data_length >= 6 && std::memcmp(marker->data, "Exif\0\0", 6) == 0)
      return exif_orientation({reinterpret_cast<const std::byte*>(marker->data), marker->data_length});
  }
  return 1;
}

// Huffman coding spends at least one bit on each coded unit, which covers 32x32 pixels at most: a file far
// shorter than that cannot hold what it declares and is not worth the memory.
void check_plausible(const jpeg_decompress_struct& info, std::size_t num_bytes, std::string_view origin) {
  const std::size_t num_pixels = std::size_t{info.image_width} * info.image_height;
  if (!info.arith_code && num_bytes < num_pixels / (32 * 32 * 8))
    throw corrupt_image("JPEG", origin, "too short for its dimensions");
}

// Widens grey, and turns the inverted CMYK that Adobe's programs write to RGB as PIL does.
void to_rgb(const std::uint8_t* from, int channels, std::size_t count, std::uint8_t* to) {
  for (std::size_t i = 0; i < count; ++i, from += channels, to += 3) {
    if (channels == 1) {
      to[0] = to[1] = to[2] = from[0];
      continue;
    }
    for (int c = 0; c < 3; ++c) {
      const int product = (255 - from[c]) * from[3] + 128;
      to[c] = static_cast<std::uint8_t>(std::max(0, from[3] - (((product >> 8) + product) >> 8)));
    }
  }
}

void read_rows(Decompressor& decompressor, Raster& raster, std::string_view origin) {
  jpeg_decompress_struct& info = decompressor.info;
  const int channels = info.output_components;
  const std::size_t stride = static_cast<std::size_t>(raster.width) * channels;
  std::vector<std::uint8_t> buffer(stride * kRowsPerStep);
  JSAMPROW rows[kRowsPerStep];
  for (int i = 0; i < kRowsPerStep; ++i) rows[i] = buffer.data() + i * stride;
  for (int y = 0; y < raster.height;) {
    int num_rows = 0;
    const auto step = [&] {
      while (num_rows < kRowsPerStep && info.output_scanline < info.output_height)
        num_rows += static_cast<int>(jpeg_read_scanlines(&info, rows + num_rows, kRowsPerStep - num_rows));
    };
    if (!succeeds(decompressor, step)) throw corrupt_image("JPEG", origin, decompressor.message);
    std::uint8_t* to = raster.pixels.data() + static_cast<std::size_t>(y) * raster.width * 3;
    if (channels == 3)
      std::memcpy(to, buffer.data(), num_rows * stride);
    else
      to_rgb(buffer.data(), channels, static_cast<std::size_t>(num_rows) * raster.width, to);
    y += num_rows;
  }
}

}  // namespace

Raster read_jpeg(std::span<const std::byte> bytes, std::string_view origin) {
  Decompressor decompressor;
  jpeg_decompress_struct& info = decompressor.info;
  if (!succeeds(decompressor, [&] { start(decompressor, bytes); }))
    throw corrupt_image("JPEG", origin, decompressor.message);
  check_dimensions(info.image_width, info.image_height, origin);
  check_plausible(info, bytes.size(), origin);
  FARTHING_REQUIRE(info.num_components == 1 || info.num_components == 3 || info.num_components == 4,
                   Code::kUnsupported, "a JPEG with this number of channels is not supported",
                   {{"file", origin}, {"channels", info.num_components}}, "convert the picture to RGB");
  info.out_color_space = info.num_components == 1   ? JCS_GRAYSCALE
                         : info.num_components == 4 ? JCS_CMYK
                                                    : JCS_RGB;
  if (!succeeds(decompressor, [&] { jpeg_start_decompress(&info); }))
    throw corrupt_image("JPEG", origin, decompressor.message);

  Raster raster{
      static_cast<int>(info.output_width), static_cast<int>(info.output_height), 3, orientation_of(info), {}};
  raster.pixels.resize(static_cast<std::size_t>(raster.width) * raster.height * 3);
  read_rows(decompressor, raster, origin);

  // A baseline file that lost only its last marker is whole; of several scans some may be missing unseen.
  const bool several_scans = jpeg_has_multiple_scans(&info) || info.arith_code;
  if (decompressor.ran_dry && (decompressor.data_missing || several_scans))
    throw corrupt_image("JPEG", origin, "the file ends before the picture does");
  return raster;
}

}  // namespace farthing::image
