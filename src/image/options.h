// The keys of preprocessor_config.json that most processors share, and checked reading of any key.
#pragma once

#include <array>
#include <string_view>

#include "base/json.h"
#include "image/resize.h"

namespace farthing::image {

/// A target size in any of the forms that transformers writes; edges that are not given are 0.
struct SizeOption {
  int height = 0;
  int width = 0;
  int shortest_edge = 0;
  int longest_edge = 0;
  int max_height = 0;
  int max_width = 0;
};

/// What happens to every picture. The values here are those of BaseImageProcessor; each kind sets its own
/// defaults. The key do_convert_rgb is not read: pictures are RGB once they are decoded.
struct Options {
  bool do_resize = true;
  SizeOption size;
  /// Whether a bare number as size means a square, or else the shortest edge.
  bool default_to_square = true;
  Resample resample = Resample::kBicubic;
  bool do_center_crop = false;
  SizeOption crop_size;  // only height and width
  bool do_rescale = true;
  double rescale_factor = 1.0 / 255.0;
  bool do_normalize = true;
  std::array<double, 3> image_mean{};
  std::array<double, 3> image_std{};
  bool do_pad = false;
};

inline constexpr std::array<double, 3> kClipMean = {0.48145466, 0.4578275, 0.40821073};
inline constexpr std::array<double, 3> kClipStd = {0.26862954, 0.26130258, 0.27577711};
inline constexpr std::array<double, 3> kHalfMean = {0.5, 0.5, 0.5};  // "ImageNet standard"

/// Returns `defaults` overruled by the keys that `config` has. A null is a missing key. All readers here
/// throw kInvalidArgument naming the key when a value has the wrong type or makes no sense.
Options read_options(const Json& config, Options defaults);

bool read_flag(const Json& config, std::string_view key, bool fallback);
/// An integer in [1, most].
int read_count(const Json& config, std::string_view key, int fallback, int most = kMaxPixels);
double read_number(const Json& config, std::string_view key, double fallback);
SizeOption read_size(const Json& config, std::string_view key, const SizeOption& fallback,
                     bool default_to_square);

}  // namespace farthing::image
