// What the tests of this folder share: the files under tests/data/image and readers of the simplest formats.
#pragma once

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "image/image.h"
#include "tensor/tensor.h"

namespace farthing::image {

inline std::filesystem::path test_file(const std::string& name) {
  return std::filesystem::path(FARTHING_SOURCE_DIR) / "tests" / "data" / "image" / name;
}

/// The folder of the full oracle, if the environment names one.
inline std::optional<std::filesystem::path> shared_folder() {
  const char* folder = std::getenv("FARTHING_FIXTURES");
  if (folder == nullptr) return std::nullopt;
  return std::filesystem::path(folder);
}

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// Reads a binary PPM as Pillow writes it: "P6", width, height, 255, pixels.
inline Image read_ppm(const std::filesystem::path& file) {
  const std::string text = read_text(file);
  Image image;
  int offset = 0;
  EXPECT_EQ(std::sscanf(text.c_str(), "P6 %d %d 255%n", &image.width, &image.height, &offset), 2) << file;
  image.rgb.assign(text.begin() + offset + 1, text.end());
  EXPECT_EQ(image.rgb.size(), static_cast<std::size_t>(image.width) * image.height * 3) << file;
  return image;
}

/// Reads the tensors of a trusted safetensors file whose names begin with `prefix`, without it.
inline std::map<std::string, Tensor> read_tensors(const std::filesystem::path& file,
                                                  const std::string& prefix = "") {
  const auto text = std::make_shared<std::string>(read_text(file));
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, text->data(), 8);
  const Json header = parse_json(std::string_view(*text).substr(8, header_size), file.string());
  const std::map<std::string, DType> dtypes = {
      {"F32", DType::kF32}, {"I64", DType::kI64}, {"U8", DType::kU8}};
  std::map<std::string, Tensor> tensors;
  for (const auto& [name, entry] : header.items()) {
    if (!name.starts_with(prefix) || !dtypes.contains(entry.value("dtype", ""))) continue;
    const std::size_t begin = entry["data_offsets"][0];
    const std::size_t end = entry["data_offsets"][1];
    // Copied, because the data need not be aligned in the file.
    tensors[name.substr(prefix.size())] =
        Tensor::view(dtypes.at(entry["dtype"]), entry["shape"].get<Shape>(),
                     as_bytes(*text).subspan(8 + header_size + begin, end - begin), text)
            .clone();
  }
  return tensors;
}

/// A smooth picture with something to see in every channel.
inline Image gradient(int width, int height) {
  Image image{width, height, {}};
  image.rgb.resize(static_cast<std::size_t>(width) * height * 3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c)
        image.row(y)[x * 3 + c] = static_cast<std::uint8_t>(x * (3 + c) + y * (7 - c) + 40 * c);
  return image;
}

}  // namespace farthing::image
