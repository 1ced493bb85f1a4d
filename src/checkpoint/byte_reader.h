// Reads little-endian numbers and strings from bytes that may end or lie anywhere.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/error.h"

namespace farthing::checkpoint {

/// Makes text from a file fit for an error message: cut short, and printable ASCII alone.
inline std::string printable(std::string_view text) {
  std::string result(text.substr(0, 160));
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return result;
}

class ByteReader {
 public:
  /// `file` is named in errors. The bytes must outlive the reader.
  ByteReader(std::span<const std::byte> bytes, std::string file, std::size_t position = 0)
      : bytes_(bytes), file_(std::move(file)) {
    seek(position);
  }

  const std::string& file() const { return file_; }
  std::size_t position() const { return position_; }
  std::size_t remaining() const { return bytes_.size() - position_; }

  /// Throws kCorruptData beyond the end, as all reads do.
  void seek(std::size_t position) {
    position_ = 0;
    skip(position);
  }
  void skip(std::uint64_t count) { take(count); }

  template <typename T>
  T number() {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }

  /// The next `count` bytes, as text.
  std::string_view take(std::uint64_t count) {
    FARTHING_REQUIRE(count <= remaining(), Code::kCorruptData, "file ends too soon",
                     {{"file", file_}, {"byte", position_}, {"needs", count}, {"has", remaining()}},
                     "it may be truncated; fetch it again");
    const auto* begin = reinterpret_cast<const char*>(bytes_.data()) + position_;
    position_ += static_cast<std::size_t>(count);
    return {begin, static_cast<std::size_t>(count)};
  }

  /// The text up to the next newline, which is consumed but not returned.
  std::string_view line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + position_, remaining());
    const std::string_view text = take(std::min(rest.find('\n'), rest.size()));
    skip(1);
    return text;
  }

 private:
  std::span<const std::byte> bytes_;
  std::string file_;
  std::size_t position_ = 0;
};

}  // namespace farthing::checkpoint
