// For the tests of this folder: temporary folders, weight files built from their parts, and expected errors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "tensor/tensor.h"

namespace farthing::checkpoint {

/// A folder that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            fmt::format("farthing_checkpoint_{}_{}", ::getpid(), ++count);
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

/// Calls `work` and checks that it throws an Error of `code` whose message, fields and hint hold all of
/// `texts`.
template <typename Work>
void expect_error(Code code, const std::vector<std::string>& texts, Work&& work) {
  try {
    work();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    const std::string all = std::string(error.what()) + " " + error.hint();
    EXPECT_EQ(code_name(error.code()), code_name(code)) << all;
    for (const std::string& text : texts)
      EXPECT_NE(all.find(text), std::string::npos) << "no '" << text << "' in: " << all;
  }
}

template <typename T>
std::string bytes_of(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

inline std::string bytes_of(const Tensor& tensor) {
  return {reinterpret_cast<const char*>(tensor.bytes().data()), tensor.num_bytes()};
}

inline std::string safetensors(std::string_view header, std::string_view data = {}) {
  return bytes_of(std::uint64_t{header.size()}) + std::string(header) + std::string(data);
}

inline std::span<const std::byte> as_span(const std::string& text) {
  return std::as_bytes(std::span(text));
}

/// Parts of a pickle of protocol 2.
namespace pickled {
inline std::string text(std::string_view value) {
  return "X" + bytes_of(static_cast<std::uint32_t>(value.size())) + std::string(value);
}
inline std::string integer(std::int32_t value) {
  return std::string("J").append(bytes_of(value));
}
inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string result = "(";
  for (const std::string& item : items) result += item;
  return result + "t";
}
inline std::string counts(const std::vector<std::int32_t>& values) {
  std::vector<std::string> items;
  for (const std::int32_t value : values) items.push_back(integer(value));
  return tuple(items);
}
inline std::string storage(const std::string& type, const std::string& key, std::int32_t elements) {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), integer(elements)}) + "Q";
}
inline std::string tensor(const std::string& storage, std::int32_t offset,
                          const std::vector<std::int32_t>& shape, const std::vector<std::int32_t>& strides) {
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple({storage, integer(offset), counts(shape), counts(strides), "\x89",
                global("collections", "OrderedDict") + ")R"}) +
         "R";
}
inline std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string result = "}(";
  for (const auto& [key, value] : items) result += text(key) + value;
  return result + "u";
}
inline std::string whole(const std::string& value) {
  return "\x80\x02" + value + ".";
}
}  // namespace pickled

/// A zip archive of stored entries; with `zip64` all offsets and counts are in the 64-bit records.
inline std::string zip_archive(const std::vector<std::pair<std::string, std::string>>& entries,
                               bool zip64 = false, std::uint16_t method = 0) {
  const auto u16 = [](std::uint64_t value) { return bytes_of(static_cast<std::uint16_t>(value)); };
  const auto u32 = [](std::uint64_t value) { return bytes_of(static_cast<std::uint32_t>(value)); };
  std::string file, directory;
  for (const auto& [name, data] : entries) {
    const std::uint64_t offset = file.size();
    const std::string facts = u16(20) + u16(0) + u16(method) + u32(0) + u32(0);
    const std::string padding = u16(0x4246) + u16(3) + "ZZZ";
    for (const std::string& part : {std::string("PK\x03\x04"), facts, u32(data.size()), u32(data.size()),
                                    u16(name.size()), u16(padding.size()), name, padding, data})
      file += part;
    const std::string extra = zip64 ? u16(1) + u16(24) + bytes_of(std::uint64_t{data.size()}) +
                                          bytes_of(std::uint64_t{data.size()}) + bytes_of(offset)
                                    : "";
    const std::uint64_t size = zip64 ? 0xffffffff : data.size();
    for (const std::string& part :
         {std::string("PK\x01\x02"), u16(20), facts, u32(size), u32(size), u16(name.size()),
          u16(extra.size()), u16(0), u16(0), u16(0), u32(0), u32(zip64 ? 0xffffffff : offset), name, extra})
      directory += part;
  }
  const std::uint64_t begin = file.size(), count = entries.size();
  file += directory;
  if (zip64) {
    const std::uint64_t record = file.size();
    file += "PK\x06\x06" + bytes_of(std::uint64_t{44}) + u16(45) + u16(45) + u32(0) + u32(0) +
            bytes_of(count) + bytes_of(count) + bytes_of(std::uint64_t{directory.size()}) + bytes_of(begin);
    file += "PK\x06\x07" + u32(0) + bytes_of(record) + u32(1);
  }
  return file + "PK\x05\x06" + u16(0) + u16(0) + u16(zip64 ? 0xffff : count) + u16(zip64 ? 0xffff : count) +
         u32(directory.size()) + u32(zip64 ? 0xffffffff : begin) + u16(0);
}

/// A PyTorch zip checkpoint whose data.pkl is `pickle` and whose storages have the keys "0", "1" ...
inline std::string torch_zip(const std::string& pickle, const std::vector<std::string>& storages,
                             bool zip64 = false) {
  std::vector<std::pair<std::string, std::string>> entries = {{"archive/data.pkl", pickle}};
  for (std::size_t i = 0; i < storages.size(); ++i)
    entries.emplace_back(fmt::format("archive/data/{}", i), storages[i]);
  entries.emplace_back("archive/version", "3\n");
  return zip_archive(entries, zip64);
}

inline std::filesystem::path test_data(const std::string& name) {
  return std::filesystem::path(FARTHING_SOURCE_DIR) / "tests/data/checkpoint" / name;
}

}  // namespace farthing::checkpoint
