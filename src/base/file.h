// Files as the rest of the house sees them: whole texts, read-only mappings, and writes that are either
// complete or invisible.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace farthing {

/// Reads a whole file. Throws kNotFound or kIo.
std::string read_text(const std::filesystem::path& file);

/// Writes `text` so that `file` holds either its old content or all of the new one, even after a crash:
/// temporary name, fsync, rename. Throws kIo, or kResources when the disk is full.
void write_text_atomically(const std::filesystem::path& file, std::string_view text);

/// Makes a rename or creation inside `directory` durable.
void sync_directory(const std::filesystem::path& directory);

/// A read-only mapping of a whole file, shared by the tensors that look into it.
class MappedFile {
 public:
  /// Maps `file`. Throws kNotFound or kIo. An empty file gives an empty mapping.
  explicit MappedFile(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

  /// Tells the kernel that a range will not be read again soon, so that it stops counting as resident memory.
  void release(std::size_t offset, std::size_t length) const;

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace farthing
