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

/// Throws what the operating system just reported (errno) about `file`: kNotFound, kResources for a full disk
/// (with the bytes that are free) or memory, else kIo.
[[noreturn]] void throw_system_error(std::string message, const std::filesystem::path& file);

/// Reads a whole file. Throws kNotFound or kIo.
std::string read_text(const std::filesystem::path& file);

/// Writes `text` so that `file` holds either its old content or all of the new one, even after a crash:
/// temporary name, fsync, rename. Throws kIo, or kResources when the disk is full.
void write_text_atomically(const std::filesystem::path& file, std::string_view text);

/// Makes a rename or creation inside `directory` durable.
void sync_directory(const std::filesystem::path& directory);

/// An open file that is read and written at positions, without a mapping: large data passes through bounded
/// memory.
class PositionalFile {
 public:
  enum class Mode {
    kRead,
    kUpdate,  // an existing file, for reading and writing
    kCreate,  // a new file; an old one of this name is emptied
  };

  /// Throws kNotFound or kIo.
  PositionalFile(std::filesystem::path file, Mode mode);
  ~PositionalFile();
  PositionalFile(PositionalFile&& other) noexcept;
  PositionalFile& operator=(PositionalFile&& other) noexcept;

  const std::filesystem::path& path() const { return path_; }
  /// Throws kIo when this is not a regular file.
  std::uint64_t size() const;
  int descriptor() const { return descriptor_; }

  /// Fills `out` from `offset` on. Throws kIo when the file ends before.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;

  /// Throws kResources when the disk is full.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);

  /// Makes the file `size` bytes long and allocates them where the file system can, so that a full disk shows
  /// now.
  void reserve(std::uint64_t size);

  /// Returns once everything written is on the disk.
  void sync();

 private:
  std::filesystem::path path_;
  int descriptor_ = -1;
};

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
