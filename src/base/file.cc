#include "base/file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"

namespace farthing {

namespace fs = std::filesystem;

void throw_system_error(std::string message, const fs::path& file) {
  const int number = errno;
  std::vector<Field> fields = {{"file", file.string()}, {"reason", std::strerror(number)}};
  switch (number) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:  // the largest file that the file system or `ulimit -f` allows
      fields.emplace_back("free_bytes", free_disk_bytes(file.parent_path()).value_or(0));
      throw Error(Code::kResources, std::move(message), std::move(fields),
                  "free some disk space or choose another folder, then run the same command again");
    case ENOMEM:
      throw Error(Code::kResources, std::move(message), std::move(fields), "close other programs");
    case ENOENT:
      throw Error(Code::kNotFound, std::move(message), std::move(fields), "check the path");
    default:
      throw Error(Code::kIo, std::move(message), std::move(fields));
  }
}

std::string read_text(const fs::path& file) {
  const PositionalFile opened(file, PositionalFile::Mode::kRead);
  std::string text(opened.size(), '\0');
  opened.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void write_text_atomically(const fs::path& file, std::string_view text) {
  fs::path temporary = file;
  temporary += ".tmp";
  try {
    PositionalFile opened(temporary, PositionalFile::Mode::kCreate);
    opened.write_at(0, std::as_bytes(std::span(text)));
    opened.sync();
    rename_path(temporary, file);
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
  sync_directory(file.parent_path());
}

void sync_directory(const fs::path& directory) {
  const fs::path path = directory.empty() ? fs::path(".") : directory;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw_system_error("cannot open folder", path);
  ::fsync(descriptor);  // some file systems refuse to sync a folder; the data itself is already safe
  ::close(descriptor);
}

PositionalFile::PositionalFile(fs::path file, Mode mode) : path_(std::move(file)) {
  const int flags = mode == Mode::kRead     ? O_RDONLY
                    : mode == Mode::kUpdate ? O_RDWR
                                            : O_RDWR | O_CREAT | O_TRUNC;
  descriptor_ = ::open(path_.c_str(), flags | O_CLOEXEC, 0644);
  if (descriptor_ < 0)
    throw_system_error(mode == Mode::kCreate ? "cannot create file" : "cannot open file", path_);
}

PositionalFile::~PositionalFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

PositionalFile::PositionalFile(PositionalFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

PositionalFile& PositionalFile::operator=(PositionalFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

std::uint64_t PositionalFile::size() const {
  struct stat info {};
  if (::fstat(descriptor_, &info) != 0) throw_system_error("cannot read file", path_);
  FARTHING_REQUIRE(S_ISREG(info.st_mode), Code::kIo, "not a regular file", {{"file", path_.string()}});
  return static_cast<std::uint64_t>(info.st_size);
}

void PositionalFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t count = ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_system_error("cannot read file", path_);
    FARTHING_REQUIRE(count > 0, Code::kIo, "file ends too soon", {{"file", path_.string()}, {"byte", offset}},
                     "it was changed while it was being read");
    offset += static_cast<std::uint64_t>(count);
    out = out.subspan(static_cast<std::size_t>(count));
  }
}

void PositionalFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_system_error("cannot write file", path_);
    offset += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

void PositionalFile::reserve(std::uint64_t size) {
  const off_t length = static_cast<off_t>(size);
  if (length == 0 || ::fallocate(descriptor_, 0, 0, length) == 0) return;
  if (errno != EOPNOTSUPP && errno != ENOSYS) throw_system_error("cannot reserve disk space", path_);
  if (::ftruncate(descriptor_, length) != 0) throw_system_error("cannot reserve disk space", path_);
}

void PositionalFile::sync() {
  if (::fsync(descriptor_) != 0) throw_system_error("cannot write file", path_);
}

MappedFile::MappedFile(const fs::path& file) : path_(file) {
  const PositionalFile opened(file, PositionalFile::Mode::kRead);
  size_ = opened.size();
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, opened.descriptor(), 0);
  if (address == MAP_FAILED) throw_system_error("cannot map file", file);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::size_t offset, std::size_t length) const {
  // Outwards, to the largest pages that the kernel maps files with: it maps whole ones around a touched byte,
  // and a neighbour that is still in use is only mapped again from the page cache.
  constexpr std::size_t kLargePage = std::size_t{2} << 20;
  const std::size_t begin = offset / kLargePage * kLargePage;
  const std::size_t end = std::min(size_, (offset + length + kLargePage - 1) / kLargePage * kLargePage);
  if (begin < end) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace farthing
