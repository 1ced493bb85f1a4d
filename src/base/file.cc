#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.h"

namespace farthing {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void throw_errno(std::string message, const fs::path& file) {
  const int number = errno;
  const Code code = number == ENOENT ? Code::kNotFound
                    : number == ENOSPC || number == EDQUOT || number == ENOMEM ? Code::kResources
                                                                               : Code::kIo;
  std::string hint;
  if (number == ENOSPC || number == EDQUOT) hint = "free some disk space or choose another folder, then run the same command again";
  if (number == ENOENT) hint = "check the path";
  throw Error(code, std::move(message), {{"file", file.string()}, {"reason", std::strerror(number)}}, std::move(hint));
}

// A file descriptor that closes itself.
class Descriptor {
 public:
  Descriptor(const fs::path& file, int flags, mode_t mode = 0) : fd_(::open(file.c_str(), flags | O_CLOEXEC, mode)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_;
};

std::size_t file_size(const Descriptor& descriptor, const fs::path& file) {
  struct stat info {};
  if (::fstat(descriptor.get(), &info) != 0) throw_errno("cannot read file", file);
  FARTHING_REQUIRE(S_ISREG(info.st_mode), Code::kIo, "not a regular file", {{"file", file.string()}});
  return static_cast<std::size_t>(info.st_size);
}

}  // namespace

std::string read_text(const fs::path& file) {
  const Descriptor descriptor(file, O_RDONLY);
  if (!descriptor) throw_errno("cannot open file", file);
  std::string text(file_size(descriptor, file), '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::read(descriptor.get(), text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno("cannot read file", file);
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  text.resize(done);
  return text;
}

void write_text_atomically(const fs::path& file, std::string_view text) {
  fs::path temporary = file;
  temporary += ".tmp";
  {
    const Descriptor descriptor(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (!descriptor) throw_errno("cannot create file", temporary);
    while (!text.empty()) {
      const ssize_t count = ::write(descriptor.get(), text.data(), text.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw_errno("cannot write file", temporary);
      text.remove_prefix(static_cast<std::size_t>(count));
    }
    if (::fsync(descriptor.get()) != 0) throw_errno("cannot write file", temporary);
  }
  if (::rename(temporary.c_str(), file.c_str()) != 0) throw_errno("cannot rename file", file);
  sync_directory(file.parent_path());
}

void sync_directory(const fs::path& directory) {
  const fs::path path = directory.empty() ? fs::path(".") : directory;
  const Descriptor descriptor(path, O_RDONLY | O_DIRECTORY);
  if (!descriptor) throw_errno("cannot open folder", path);
  ::fsync(descriptor.get());  // some file systems refuse to sync a folder; the data itself is already safe
}

MappedFile::MappedFile(const fs::path& file) : path_(file) {
  const Descriptor descriptor(file, O_RDONLY);
  if (!descriptor) throw_errno("cannot open file", file);
  size_ = file_size(descriptor, file);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor.get(), 0);
  if (address == MAP_FAILED) throw_errno("cannot map file", file);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::release(std::size_t offset, std::size_t length) const {
  // Round inwards to whole pages: neighbours in the same page may still be in use.
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t begin = (offset + page - 1) / page * page;
  const std::size_t end = (offset + length) / page * page;
  if (begin < end) ::madvise(const_cast<std::byte*>(data_) + begin, end - begin, MADV_DONTNEED);
}

}  // namespace farthing
