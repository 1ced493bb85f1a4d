#include "image/resize.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "image/test_data.h"

namespace farthing::image {
namespace {

constexpr const char* kNames[] = {"nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"};

// Shrunk, enlarged, flattened (there Pillow's vertical pass comes first), and with one axis kept.
constexpr int kSizes[][2] = {{12, 9}, {50, 37}, {40, 9}, {31, 10}, {7, 23}};

TEST(Resize, BitForBitAsPillow) {
  const Image source = open(test_file("resize/source.png"));
  for (int code = 0; code < 6; ++code) {
    for (const auto& [width, height] : kSizes) {
      const std::string name = fmt::format("{}-{}x{}", kNames[code], width, height);
      const Image image = resize(source, width, height, static_cast<Resample>(code));
      EXPECT_EQ(image.width, width);
      EXPECT_EQ(image.height, height);
      EXPECT_EQ(image.rgb, open(test_file("resize/" + name + ".png")).rgb) << name;
    }
  }
}

TEST(Resize, BitForBitAsTorch) {
  const Image source = open(test_file("resize/source.png"));
  for (const Resample resample : {Resample::kBilinear, Resample::kBicubic})
    for (const auto& [width, height] : {std::pair{12, 9}, {40, 9}}) {
      const std::string name =
          fmt::format("torch-{}-{}x{}.png", kNames[static_cast<int>(resample)], width, height);
      EXPECT_EQ(resize(source, width, height, resample, Arithmetic::kTorch).rgb,
                open(test_file("resize/" + name)).rgb)
          << name;
    }
}

TEST(Resize, WindowIsAPartOfTheWhole) {
  const Image source = gradient(37, 29);
  for (int code = 0; code < 6; ++code) {
    for (const auto& [width, height] : {std::pair{20, 50}, {60, 11}, {37, 40}, {15, 29}, {37, 29}}) {
      const auto resample = static_cast<Resample>(code);
      const Window window{width / 3, height / 4, width / 2, height / 2};
      EXPECT_EQ(resize_window(source, width, height, resample, window).rgb,
                crop(resize(source, width, height, resample), window).rgb)
          << kNames[code] << ' ' << width << 'x' << height;
    }
  }
}

TEST(Resize, SameSizeIsACopy) {
  const Image source = gradient(13, 11);
  EXPECT_EQ(resize(source, 13, 11, Resample::kLanczos).rgb, source.rgb);
}

TEST(Resize, ExtremeShapes) {
  const Image dot = gradient(1, 1);
  const Image enlarged = resize(dot, 30, 20, Resample::kBicubic);
  for (std::size_t i = 0; i < enlarged.rgb.size(); ++i) ASSERT_EQ(enlarged.rgb[i], dot.rgb[i % 3]);
  const Image line = resize(gradient(20000, 10), 1, 1, Resample::kLanczos);
  EXPECT_EQ(line.rgb.size(), 3u);
  // The middle of a picture that would have 7 million columns.
  const Image middle =
      resize_window(gradient(20000, 1), 20000 * 336, 336, Resample::kBicubic, {3'000'000, 0, 336, 336});
  EXPECT_EQ(middle.width, 336);
  EXPECT_EQ(middle.height, 336);
}

TEST(Resize, ImpossibleSizesAreErrors) {
  const Image source = gradient(4, 4);
  for (const auto& [width, height] : {std::pair{0, 4}, {4, 0}, {-1, 4}, {100000, 100000}, {1 << 21, 4}}) {
    try {
      resize(source, width, height, Resample::kBilinear);
      FAIL() << width << 'x' << height;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kInvalidArgument);
    }
  }
}

}  // namespace
}  // namespace farthing::image
