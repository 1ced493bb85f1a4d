#include "image/image.h"

#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "image/test_data.h"

namespace farthing::image {
namespace {

std::vector<std::filesystem::path> pictures_in(const std::string& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(test_file(folder)))
    if (entry.path().extension() != ".ppm") files.push_back(entry.path());
  std::ranges::sort(files);
  return files;
}

// The code of the error that decoding throws, or nothing.
std::optional<Code> failure(const std::string& bytes) {
  try {
    const Image image = decode(as_bytes(bytes), "hostile");
    EXPECT_GT(image.width, 0);
    EXPECT_EQ(image.rgb.size(), static_cast<std::size_t>(image.width) * image.height * 3);
    return std::nullopt;
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("hostile"));
    return error.code();
  }
}

void put(std::string& bytes, std::size_t offset, std::string_view replacement) {
  bytes.replace(offset, replacement.size(), replacement);
}

TEST(Decode, PixelsAreThoseOfPillow) {
  int num_white = 0;
  for (const std::filesystem::path& file : pictures_in("decode")) {
    SCOPED_TRACE(file.filename().string());
    const Image expected = read_ppm(file.string() + ".ppm");
    const Image image = open(file);
    EXPECT_EQ(image.width, expected.width);
    EXPECT_EQ(image.height, expected.height);
    EXPECT_EQ(image.rgb, expected.rgb);
    const std::string white = file.string() + ".white.ppm";
    const bool has_alpha = std::filesystem::exists(white);
    EXPECT_EQ(open(file, {Alpha::kOverWhite}).rgb, has_alpha ? read_ppm(white).rgb : expected.rgb);
    num_white += has_alpha;
  }
  EXPECT_EQ(num_white, 7);
}

TEST(Decode, PicturesOfTheSharedFolder) {
  const auto shared = shared_folder();
  if (!shared) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  for (const char* name : {"bird.bmp", "cat-720p.jpg", "orange-cat.png"}) {
    const Image image = open(*shared / "data" / "images" / name);
    EXPECT_GT(image.width, 100) << name;
    EXPECT_GT(image.height, 100) << name;
  }
}

// A picture of 3 x 2 pixels whose bytes are 0, 10, 20 ... lets the pixels be named a to f.
std::string layout_of(const Image& image) {
  std::string text;
  for (int y = 0; y < image.height; ++y) {
    if (y > 0) text += '/';
    for (int x = 0; x < image.width; ++x) text += static_cast<char>('a' + image.row(y)[x * 3] / 30);
  }
  return text;
}

TEST(Exif, AllEightOrientations) {
  const std::string file = read_text(test_file("exif/exif.png"));
  // Tag 0x0112, type SHORT, one value: the orientation follows, in the byte order that Pillow chose.
  const std::size_t entry = file.find(std::string("\x01\x12\x00\x03\x00\x00\x00\x01", 8));
  ASSERT_NE(entry, std::string::npos);
  const char* layouts[] = {"abc/def",  "abc/def",  "cba/fed",  "fed/cba",  "def/abc",
                           "ad/be/cf", "da/eb/fc", "fc/eb/da", "cf/be/ad", "abc/def"};
  for (char orientation = 0; orientation <= 9; ++orientation) {
    std::string turned = file;
    turned[entry + 9] = orientation;
    // The checksum no longer fits, and libpng would drop the chunk; it comes right after the data.
    std::uint32_t crc = 0xffffffff;
    const std::size_t chunk = file.find("eXIf");
    const std::size_t length = static_cast<unsigned char>(file[chunk - 1]);
    for (std::size_t i = chunk; i < chunk + 4 + length; ++i) {
      crc ^= static_cast<unsigned char>(turned[i]);
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    for (int i = 0; i < 4; ++i) turned[chunk + 4 + length + i] = static_cast<char>(~crc >> (24 - 8 * i));
    EXPECT_EQ(layout_of(decode(as_bytes(turned), "turned.png")),
              layouts[static_cast<unsigned char>(orientation)])
        << static_cast<int>(orientation);
  }
}

TEST(Exif, EveryFormatThatCarriesIt) {
  EXPECT_EQ(layout_of(open(test_file("exif/exif.webp"))), "da/eb/fc");
  const Image photo = open(test_file("exif/exif.jpg"));
  EXPECT_EQ(photo.width, 16);
  EXPECT_EQ(photo.height, 24);
}

TEST(Bmp, RunLengthCodesMayJumpAndStopEarly) {
  std::string file = read_text(test_file("decode/rle8.bmp"));
  const std::size_t pixels = static_cast<unsigned char>(file[10]);
  // Two pixels of colour 3, one line up and one pixel right, a pixel of colour 5, end.
  file = file.substr(0, pixels) + std::string("\x02\x03\x00\x02\x01\x01\x01\x05\x00\x01", 10);
  const Image image = decode(as_bytes(file), "jump.bmp");
  const auto colour = [&](int index) { return std::string(file, 14 + 40 + index * 4, 3); };
  const auto pixel = [&](int x, int y) {
    const std::uint8_t* rgb = image.row(image.height - 1 - y) + x * 3;
    return std::string{static_cast<char>(rgb[2]), static_cast<char>(rgb[1]), static_cast<char>(rgb[0])};
  };
  EXPECT_EQ(pixel(0, 0), colour(3));
  EXPECT_EQ(pixel(1, 0), colour(3));
  EXPECT_EQ(pixel(2, 0), colour(0));
  EXPECT_EQ(pixel(3, 1), colour(5));
  EXPECT_EQ(pixel(12, 4), colour(0));
}

TEST(Hostile, EveryPrefixIsAnErrorOrAPicture) {
  for (const std::filesystem::path& file : pictures_in("decode")) {
    SCOPED_TRACE(file.filename().string());
    const std::string whole = read_text(file);
    for (std::size_t length = 0; length < whole.size(); ++length) {
      const std::optional<Code> code = failure(whole.substr(0, length));
      EXPECT_TRUE(code || length >= whole.size() / 2) << length;
    }
  }
}

TEST(Hostile, DamagedBytesAreAnErrorOrAPicture) {
  std::mt19937 random(7);
  for (const std::filesystem::path& file : pictures_in("decode")) {
    const std::string whole = read_text(file);
    for (int trial = 0; trial < 60; ++trial) {
      std::string damaged = whole;
      for (int i = 0; i <= trial % 4; ++i) damaged[random() % damaged.size()] = static_cast<char>(random());
      failure(damaged);
    }
  }
}

TEST(Hostile, TruncatedPhotosAreErrors) {
  for (const char* name :
       {"420.jpg", "444-progressive.jpg", "rgb8.png", "rgb8-interlaced.png", "lossy.webp", "bits24.bmp"}) {
    const std::string whole = read_text(test_file("decode/" + std::string(name)));
    EXPECT_EQ(failure(whole.substr(0, whole.size() - 40)), Code::kCorruptData) << name;
  }
  const std::string photo = read_text(test_file("decode/420.jpg"));
  EXPECT_EQ(failure(photo.substr(0, photo.size() - 2)), std::nullopt) << "only the end marker is missing";
}

TEST(Hostile, HugeDimensionsCostNothing) {
  std::string png = read_text(test_file("decode/grey8.png"));
  put(png, 16, "\x7f\xff\xff\xff\x7f\xff\xff\xff");
  EXPECT_EQ(failure(png), Code::kCorruptData) << "the checksum is wrong now";
  std::string jpeg = read_text(test_file("decode/grey.jpg"));
  const std::size_t frame = jpeg.find("\xff\xc0");
  ASSERT_NE(frame, std::string::npos);
  put(jpeg, frame + 5, "\xf0\xf0\xf0\xf0");
  EXPECT_EQ(failure(jpeg), Code::kResources);
  put(jpeg, frame + 5, "\x30\x30\x30\x30");
  EXPECT_EQ(failure(jpeg), Code::kCorruptData) << "150 Mpixel cannot be in 500 bytes";
  std::string bmp = read_text(test_file("decode/rle8.bmp"));
  put(bmp, 18, std::string("\x00\x30\x00\x00\x00\x30\x00\x00", 8));
  EXPECT_EQ(failure(bmp), Code::kCorruptData);
  put(bmp, 18, std::string("\x00\x00\x00\x00\x00\x30\x00\x00", 8));
  EXPECT_EQ(failure(bmp), Code::kCorruptData) << "no width";
}

TEST(Hostile, OtherFilesAreNamed) {
  EXPECT_EQ(failure(""), Code::kCorruptData);
  EXPECT_EQ(failure("BM"), Code::kCorruptData);
  EXPECT_EQ(failure("\xff\xd8\xff"), Code::kCorruptData);
  EXPECT_EQ(failure("hello"), Code::kUnsupported);
  try {
    decode(as_bytes("GIF89a and more"), "moving.gif");
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(),
                testing::AllOf(testing::HasSubstr("format=GIF"), testing::HasSubstr("moving.gif")));
    EXPECT_FALSE(error.hint().empty());
  }
  EXPECT_THROW(open(test_file("decode/absent.png")), Error);
}

TEST(Crop, CopiesARectangle) {
  const Image image = gradient(9, 7);
  const Image part = crop(image, {2, 3, 4, 2});
  EXPECT_EQ(part.width, 4);
  EXPECT_EQ(part.row(1)[3 * 3 + 1], image.row(4)[5 * 3 + 1]);
  EXPECT_THROW(crop(image, {6, 0, 4, 1}), Error);
}

}  // namespace
}  // namespace farthing::image
