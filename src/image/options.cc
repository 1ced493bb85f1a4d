#include "image/options.h"

#include <cmath>
#include <string>

#include "base/error.h"

namespace farthing::image {
namespace {

constexpr std::string_view kHint = "check preprocessor_config.json of the checkpoint";

[[noreturn]] void throw_wrong(std::string_view key, std::string_view wanted, const Json& value) {
  throw Error(Code::kInvalidArgument, "a setting of the image processor makes no sense",
              {{"key", key},
               {"wanted", wanted},
               {"value", value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 80)}},
              std::string(kHint));
}

// The value of a key, or null where it is missing or null.
const Json* find(const Json& config, std::string_view key) {
  const auto it = config.find(key);
  return it == config.end() || it->is_null() ? nullptr : &*it;
}

int count_of(const Json& value, std::string_view key, int most = kMaxPixels) {
  const double number = value.is_number() ? value.get<double>() : 0.0;  // some files write 224.0
  if (!(number >= 1 && number <= most) || number != std::floor(number))
    throw_wrong(key, fmt::format("an integer from 1 to {}", most), value);
  return static_cast<int>(number);
}

std::array<double, 3> read_channels(const Json& config, std::string_view key,
                                    const std::array<double, 3>& fallback) {
  const Json* value = find(config, key);
  if (value == nullptr) return fallback;
  if (value->is_number()) {
    const double number = value->get<double>();
    return {number, number, number};
  }
  if (!value->is_array() || value->size() != 3) throw_wrong(key, "three numbers", *value);
  std::array<double, 3> channels;
  for (std::size_t c = 0; c < 3; ++c) {
    if (!(*value)[c].is_number()) throw_wrong(key, "three numbers", *value);
    channels[c] = (*value)[c].get<double>();
  }
  return channels;
}

Resample read_resample(const Json& config, Resample fallback) {
  const Json* value = find(config, "resample");
  if (value == nullptr) return fallback;
  if (!value->is_number_integer()) throw_wrong("resample", "an integer from 0 to 5", *value);
  const std::int64_t code = value->get<std::int64_t>();
  if (code < 0 || code > 5) throw_wrong("resample", "an integer from 0 to 5", *value);
  return static_cast<Resample>(code);
}

}  // namespace

bool read_flag(const Json& config, std::string_view key, bool fallback) {
  const Json* value = find(config, key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) throw_wrong(key, "true or false", *value);
  return value->get<bool>();
}

int read_count(const Json& config, std::string_view key, int fallback, int most) {
  const Json* value = find(config, key);
  return value == nullptr ? fallback : count_of(*value, key, most);
}

double read_number(const Json& config, std::string_view key, double fallback) {
  const Json* value = find(config, key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) throw_wrong(key, "a number", *value);
  return value->get<double>();
}

SizeOption read_size(const Json& config, std::string_view key, const SizeOption& fallback,
                     bool default_to_square) {
  const Json* value = find(config, key);
  if (value == nullptr) return fallback;
  SizeOption size;
  if (value->is_number()) {
    const int edge = count_of(*value, key);
    if (default_to_square)
      size.height = size.width = edge;
    else
      size.shortest_edge = edge;
    return size;
  }
  if (value->is_array() && value->size() == 2) {
    size.height = count_of((*value)[0], key);
    size.width = count_of((*value)[1], key);
    return size;
  }
  if (!value->is_object()) throw_wrong(key, "a number or an object of edges", *value);
  size.height = read_count(*value, "height", 0);
  size.width = read_count(*value, "width", 0);
  size.shortest_edge = read_count(*value, "shortest_edge", 0);
  size.longest_edge = read_count(*value, "longest_edge", 0);
  size.max_height = read_count(*value, "max_height", 0);
  size.max_width = read_count(*value, "max_width", 0);
  return size;
}

Options read_options(const Json& config, Options defaults) {
  Options options = defaults;
  options.do_resize = read_flag(config, "do_resize", defaults.do_resize);
  options.default_to_square = read_flag(config, "default_to_square", defaults.default_to_square);
  options.size = read_size(config, "size", defaults.size, options.default_to_square);
  options.resample = read_resample(config, defaults.resample);
  options.do_center_crop = read_flag(config, "do_center_crop", defaults.do_center_crop);
  options.crop_size = read_size(config, "crop_size", defaults.crop_size, true);
  options.do_rescale = read_flag(config, "do_rescale", defaults.do_rescale);
  options.rescale_factor = read_number(config, "rescale_factor", defaults.rescale_factor);
  options.do_normalize = read_flag(config, "do_normalize", defaults.do_normalize);
  options.image_mean = read_channels(config, "image_mean", defaults.image_mean);
  options.image_std = read_channels(config, "image_std", defaults.image_std);
  options.do_pad = read_flag(config, "do_pad", defaults.do_pad);
  for (const double deviation : options.image_std)
    FARTHING_REQUIRE(!options.do_normalize || deviation != 0.0, Code::kInvalidArgument,
                     "image_std of the image processor is 0", {}, std::string(kHint));
  return options;
}

}  // namespace farthing::image
