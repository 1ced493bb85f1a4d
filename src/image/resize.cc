#include "image/resize.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace farthing::image {
namespace {

// Of PIL's weights: 8 bits hold the pixel, 2 more the sum of weights that overshoot; the rest of 32 is
// fraction.
constexpr int kPillowFractionBits = 32 - 8 - 2;

// torch keeps weights in 16 bits, with as much fraction as the largest of them leaves.
int torch_fraction_bits(double largest_weight) {
  int bits = 0;
  while (bits < kPillowFractionBits && 0.5 + largest_weight * (1 << (bits + 1)) < 1 << 15) ++bits;
  return bits;
}

struct Filter {
  double (*value)(double);
  double support;  // the filter is 0 beyond this distance
};

double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double box(double x) {
  return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

double bilinear(double x) {
  return std::max(1.0 - std::abs(x), 0.0);
}

double hamming(double x) {
  x = std::abs(x);
  if (x == 0.0) return 1.0;
  if (x >= 1.0) return 0.0;
  x *= std::numbers::pi;
  return std::sin(x) / x * (0.54f + 0.46f * std::cos(x));  // PIL's constants are single precision
}

double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
  if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
  return 0.0;
}

double lanczos(double x) {
  return -3.0 <= x && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
}

Filter filter_of(Resample resample) {
  switch (resample) {
    case Resample::kLanczos:
      return {lanczos, 3.0};
    case Resample::kBilinear:
      return {bilinear, 1.0};
    case Resample::kBicubic:
      return {bicubic, 2.0};
    case Resample::kBox:
      return {box, 0.5};
    case Resample::kHamming:
      return {hamming, 1.0};
    case Resample::kNearest:
      break;
  }
  throw Error(Code::kInternal, "nearest is no convolution");
}

// One axis of a resize: for each output position the first input position that counts and how many do, with
// their fixed-point weights; and the range of input positions that count for any of them.
struct Axis {
  struct Span {
    int begin;
    int count;
  };
  bool changes = false;  // otherwise there are no spans, and the range is the output's
  int first = 0;
  int last = 0;    // one beyond
  int stride = 0;  // weights stored per output position
  int fraction_bits = 0;
  std::vector<Span> spans;
  std::vector<std::int32_t> values;

  std::int32_t half() const { return 1 << (fraction_bits - 1); }
  std::uint8_t clipped(std::int32_t sum) const {
    return static_cast<std::uint8_t>(std::clamp(sum >> fraction_bits, 0, 255));
  }

  const std::int32_t* weights(int i) const { return values.data() + static_cast<std::size_t>(i) * stride; }
  int used() const { return last - first; }
};

// Output positions [begin, begin + count) of an axis on which `from` pixels become `to`.
Axis axis_of(int from, int to, int begin, int count, const Filter& filter, Arithmetic arithmetic) {
  if (from == to) return {.changes = false, .first = begin, .last = begin + count};
  const double scale = static_cast<double>(from) / to;
  const double filter_scale = std::max(scale, 1.0);
  const double support = filter.support * filter_scale;
  const double inverse = 1.0 / filter_scale;
  Axis axis{.changes = true};
  axis.stride = static_cast<int>(std::min(std::ceil(support) * 2 + 1, static_cast<double>(from)));
  axis.spans.resize(count);
  axis.values.resize(static_cast<std::size_t>(count) * axis.stride);
  std::vector<double> exact(axis.values.size());
  double largest = 0.0;
  for (int i = 0; i < count; ++i) {
    const double center = (begin + i + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - support + 0.5), 0);
    const int last = std::min(static_cast<int>(center + support + 0.5), from);
    double sum = 0.0;
    double* weights = exact.data() + static_cast<std::size_t>(i) * axis.stride;
    for (int k = first; k < last; ++k) sum += weights[k - first] = filter.value((k - center + 0.5) * inverse);
    for (int k = 0; k < last - first; ++k) {
      if (sum != 0.0) weights[k] /= sum;
      largest = std::max(largest, weights[k]);
    }
    axis.spans[i] = {first, last - first};
  }
  axis.fraction_bits = arithmetic == Arithmetic::kPillow ? kPillowFractionBits : torch_fraction_bits(largest);
  for (std::size_t i = 0; i < exact.size(); ++i) {
    const double weight = exact[i] * (1 << axis.fraction_bits);
    axis.values[i] = static_cast<std::int32_t>(weight < 0 ? weight - 0.5 : weight + 0.5);
  }
  axis.first = axis.spans.front().begin;
  axis.last = axis.spans.back().begin + axis.spans.back().count;
  return axis;
}

// The horizontal pass over rows [first_row, first_row + num_rows) of `image`, whose column 0 is column
// `origin` of the picture that the axis speaks of.
Image resize_horizontally(const Image& image, const Axis& axis, int origin, int first_row, int num_rows) {
  Image result{static_cast<int>(axis.spans.size()), num_rows, {}};
  result.rgb.resize(static_cast<std::size_t>(result.width) * num_rows * 3);
  for (int y = 0; y < num_rows; ++y) {
    const std::uint8_t* row = image.row(first_row + y);
    std::uint8_t* to = result.row(y);
    for (int x = 0; x < result.width; ++x, to += 3) {
      const Axis::Span span = axis.spans[x];
      const std::int32_t* weights = axis.weights(x);
      const std::uint8_t* from = row + static_cast<std::size_t>(span.begin - origin) * 3;
      std::int32_t red = axis.half(), green = red, blue = red;
      for (int k = 0; k < span.count; ++k, from += 3) {
        red += from[0] * weights[k];
        green += from[1] * weights[k];
        blue += from[2] * weights[k];
      }
      to[0] = axis.clipped(red);
      to[1] = axis.clipped(green);
      to[2] = axis.clipped(blue);
    }
  }
  return result;
}

// The vertical pass over columns [first_column, first_column + num_columns) of `image`, whose row 0 is row
// `origin` of the picture that the axis speaks of.
Image resize_vertically(const Image& image, const Axis& axis, int origin, int first_column, int num_columns) {
  Image result{num_columns, static_cast<int>(axis.spans.size()), {}};
  const std::size_t stride = static_cast<std::size_t>(num_columns) * 3;
  result.rgb.resize(stride * result.height);
  std::vector<std::int32_t> sums(stride);
  for (int y = 0; y < result.height; ++y) {
    std::ranges::fill(sums, axis.half());
    const Axis::Span span = axis.spans[y];
    for (int k = 0; k < span.count; ++k) {
      const std::int32_t weight = axis.weights(y)[k];
      const std::uint8_t* from =
          image.row(span.begin - origin + k) + static_cast<std::size_t>(first_column) * 3;
      for (std::size_t i = 0; i < stride; ++i) sums[i] += from[i] * weight;
    }
    std::uint8_t* to = result.row(y);
    for (std::size_t i = 0; i < stride; ++i) to[i] = axis.clipped(sums[i]);
  }
  return result;
}

// Since Pillow 13 a height that shrinks by more than twice what the width loses is dealt with first; before,
// the width always was.
bool is_vertical_first(const Image& image, int width, int height) {
  const std::int64_t height_loss = std::int64_t{image.height} - height;
  return height_loss > 0 && height_loss > 2 * (std::int64_t{image.width} - width);
}

Image resize_by_filter(const Image& image, int width, int height, const Filter& filter, const Window& window,
                       Arithmetic arithmetic) {
  const Axis across = axis_of(image.width, width, window.x, window.width, filter, arithmetic);
  const Axis down = axis_of(image.height, height, window.y, window.height, filter, arithmetic);
  if (arithmetic == Arithmetic::kPillow && is_vertical_first(image, width, height)) {
    Image narrow = resize_vertically(image, down, 0, across.first, across.used());
    return across.changes ? resize_horizontally(narrow, across, across.first, 0, narrow.height) : narrow;
  }
  Image low = across.changes ? resize_horizontally(image, across, 0, down.first, down.used())
                             : crop(image, {across.first, down.first, across.used(), down.used()});
  return down.changes ? resize_vertically(low, down, down.first, 0, low.width) : low;
}

// PIL steps through the source by repeated addition, so that its rounding errors are part of the result.
std::vector<int> nearest_positions(int from, int to, int begin, int count) {
  const double scale = static_cast<double>(from) / to;
  std::vector<int> positions(count);
  double position = scale * 0.5;
  for (int i = 0; i < begin; ++i) position += scale;
  for (int& result : positions) {
    result = std::min(static_cast<int>(position), from - 1);
    position += scale;
  }
  return positions;
}

Image resize_nearest(const Image& image, int width, int height, const Window& window) {
  const std::vector<int> columns = nearest_positions(image.width, width, window.x, window.width);
  const std::vector<int> rows = nearest_positions(image.height, height, window.y, window.height);
  Image result{window.width, window.height, {}};
  result.rgb.resize(static_cast<std::size_t>(window.width) * window.height * 3);
  std::uint8_t* to = result.rgb.data();
  for (const int y : rows)
    for (const int x : columns) to = std::copy_n(image.row(y) + static_cast<std::size_t>(x) * 3, 3, to);
  return result;
}

Image resize_checked(const Image& image, int width, int height, Resample resample, const Window& window,
                     Arithmetic arithmetic) {
  FARTHING_REQUIRE(width > 0 && height > 0 && window.width <= kMaxEdge && window.height <= kMaxEdge &&
                       window.width <= kMaxPixels / window.height,
                   Code::kInvalidArgument, "a picture cannot be resized to this size",
                   {{"width", width}, {"height", height}, {"max_edge", kMaxEdge}, {"max_pixels", kMaxPixels}},
                   "check size in preprocessor_config.json, and the shape of the picture");
  FARTHING_CHECK(window.x >= 0 && window.y >= 0 && window.width > 0 && window.height > 0 &&
                 window.width <= width - window.x && window.height <= height - window.y);
  FARTHING_CHECK(image.width > 0 && image.height > 0);
  if (width == image.width && height == image.height) return crop(image, window);
  if (resample == Resample::kNearest) return resize_nearest(image, width, height, window);
  return resize_by_filter(image, width, height, filter_of(resample), window, arithmetic);
}

}  // namespace

Image resize_window(const Image& image, int width, int height, Resample resample, const Window& window) {
  return resize_checked(image, width, height, resample, window, Arithmetic::kPillow);
}

Image resize(const Image& image, int width, int height, Resample resample, Arithmetic arithmetic) {
  return resize_checked(image, width, height, resample, {0, 0, width, height}, arithmetic);
}

}  // namespace farthing::image
