#include "checkpoint/torch_zip.h"

#include <algorithm>

#include "checkpoint/byte_reader.h"

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEndRecord = 0x06054b50;
constexpr std::uint32_t kZip64EndRecord = 0x06064b50, kZip64Locator = 0x07064b50;
constexpr std::size_t kEndRecordBytes = 22, kLocatorBytes = 20, kMaxComment = 0xffff;
constexpr std::uint16_t kZip64Extra = 1, kEncrypted = 1, kStored = 0;
constexpr std::uint32_t kSeeZip64 = 0xffffffff;

using Entries = std::map<std::string, StoredBytes, std::less<>>;

struct Directory {
  std::uint64_t offset = 0;
  std::uint64_t num_entries = 0;
};

class ZipReader {
 public:
  ZipReader(std::span<const std::byte> bytes, const fs::path& file)
      : bytes_(bytes), reader_(bytes, file.string()) {}

  Entries entries() {
    const Directory directory = find_directory();
    Entries result;
    std::uint64_t position = directory.offset;
    for (std::uint64_t i = 0; i < directory.num_entries; ++i) {
      reader_.seek(position);
      const auto [name, entry] = central_entry();
      position = reader_.position();
      const StoredBytes stored = {data_offset(entry.offset), entry.num_bytes};
      if (stored.num_bytes > bytes_.size() - stored.offset)
        fail(Code::kCorruptData, "zip entry lies past the end of the file", name);
      if (!result.emplace(name, stored).second)
        fail(Code::kCorruptData, "zip archive has an entry twice", name);
    }
    return result;
  }

 private:
  // The end record is the last thing in the file, before a comment of unknown length.
  Directory find_directory() {
    const std::size_t size = bytes_.size();
    for (std::size_t back = kEndRecordBytes; back <= std::min(size, kEndRecordBytes + kMaxComment); ++back) {
      reader_.seek(size - back);
      if (reader_.number<std::uint32_t>() != kEndRecord) continue;
      reader_.skip(6);  // disk numbers, entries on this disk
      Directory directory;
      directory.num_entries = reader_.number<std::uint16_t>();
      reader_.skip(4);  // size of the directory
      directory.offset = reader_.number<std::uint32_t>();
      const bool is_zip64 = directory.num_entries == 0xffff || directory.offset == kSeeZip64;
      return is_zip64 && size - back >= kLocatorBytes ? zip64_directory(size - back - kLocatorBytes)
                                                      : directory;
    }
    fail(Code::kCorruptData, "zip archive has no directory at its end", "");
  }

  Directory zip64_directory(std::size_t locator) {
    reader_.seek(locator);
    if (reader_.number<std::uint32_t>() != kZip64Locator)
      fail(Code::kCorruptData, "zip archive has no zip64 directory", "");
    reader_.skip(4);  // disk number
    reader_.seek(reader_.number<std::uint64_t>());
    if (reader_.number<std::uint32_t>() != kZip64EndRecord)
      fail(Code::kCorruptData, "zip archive has no zip64 directory", "");
    reader_.skip(28);  // sizes, versions, disk numbers, entries on this disk
    Directory directory;
    directory.num_entries = reader_.number<std::uint64_t>();
    reader_.skip(8);  // size of the directory
    directory.offset = reader_.number<std::uint64_t>();
    return directory;
  }

  // Reads one record of the directory; the offset returned is that of the local header.
  std::pair<std::string, StoredBytes> central_entry() {
    if (reader_.number<std::uint32_t>() != kCentralHeader)
      fail(Code::kCorruptData, "zip archive has a damaged directory", "");
    reader_.skip(4);  // versions
    const auto flags = reader_.number<std::uint16_t>();
    const auto method = reader_.number<std::uint16_t>();
    reader_.skip(8);  // time, checksum
    std::uint64_t packed = reader_.number<std::uint32_t>();
    std::uint64_t size = reader_.number<std::uint32_t>();
    const auto name_length = reader_.number<std::uint16_t>();
    const auto extra_length = reader_.number<std::uint16_t>();
    const auto comment_length = reader_.number<std::uint16_t>();
    reader_.skip(8);  // disk number, attributes
    std::uint64_t offset = reader_.number<std::uint32_t>();
    std::string name(reader_.take(name_length));
    const std::size_t end = reader_.position() + extra_length;
    while (reader_.position() + 4 <= end) {
      const auto id = reader_.number<std::uint16_t>();
      const auto length = reader_.number<std::uint16_t>();
      const std::size_t next = reader_.position() + length;
      if (id == kZip64Extra) {  // holds only those that did not fit, in this order
        for (std::uint64_t* field : {&size, &packed, &offset}) {
          if (*field == kSeeZip64) *field = reader_.number<std::uint64_t>();
        }
      }
      reader_.seek(next);
    }
    reader_.seek(end + comment_length);
    if (flags & kEncrypted) fail(Code::kUnsupported, "zip entry is encrypted", name);
    if (method != kStored || packed != size) fail(Code::kUnsupported, "zip entry is compressed", name);
    return {name, {offset, size}};
  }

  // The local header repeats name and extra fields with lengths of its own (torch pads with them).
  std::uint64_t data_offset(std::uint64_t local_header) {
    reader_.seek(local_header);
    if (reader_.number<std::uint32_t>() != kLocalHeader)
      fail(Code::kCorruptData, "zip archive has a damaged entry", "");
    reader_.skip(22);
    const auto name_length = reader_.number<std::uint16_t>();
    const auto extra_length = reader_.number<std::uint16_t>();
    reader_.skip(std::uint64_t{name_length} + extra_length);
    return reader_.position();
  }

  [[noreturn]] void fail(Code code, const char* message, std::string_view entry) const {
    std::vector<Field> fields = {{"file", reader_.file()}};
    if (!entry.empty()) fields.emplace_back("entry", printable(entry));
    throw Error(code, message, std::move(fields),
                code == Code::kUnsupported ? "write the file again with torch.save"
                                           : "the file may be truncated; fetch it again");
  }

  std::span<const std::byte> bytes_;
  ByteReader reader_;
};

// The folder inside the archive has any name: "archive/data.pkl", "pytorch_model/data.pkl".
std::string find_root(const Entries& entries, const fs::path& file) {
  for (const auto& [name, stored] : entries) {
    if (name.ends_with("/data.pkl") && name.find('/') == name.rfind('/'))
      return name.substr(0, name.find('/') + 1);
  }
  throw Error(Code::kUnsupported, "zip archive is not a PyTorch checkpoint",
              {{"file", file.string()}, {"lacks", "data.pkl"}},
              "expected what torch.save(model.state_dict(), file) writes");
}

std::span<const std::byte> bytes_of(std::span<const std::byte> bytes, const StoredBytes& stored) {
  return bytes.subspan(static_cast<std::size_t>(stored.offset), static_cast<std::size_t>(stored.num_bytes));
}

}  // namespace

Entries list_zip_entries(std::span<const std::byte> bytes, const fs::path& file) {
  return ZipReader(bytes, file).entries();
}

bool is_torch_zip(std::span<const std::byte> bytes) {
  return bytes.size() >= 4 && ByteReader(bytes, {}).number<std::uint32_t>() == kLocalHeader;
}

Container read_torch_zip(std::span<const std::byte> bytes, const fs::path& file) {
  const Entries entries = list_zip_entries(bytes, file);
  const std::string root = find_root(entries, file);
  if (const auto order = entries.find(root + "byteorder"); order != entries.end()) {
    const std::string_view text =
        ByteReader(bytes_of(bytes, order->second), file.string()).take(order->second.num_bytes);
    FARTHING_REQUIRE(text == "little", Code::kUnsupported,
                     "file was written on a machine of another byte order",
                     {{"file", file.string()}, {"byteorder", printable(text)}},
                     "write it again on a little-endian machine");
  }
  pickle::Unpickler unpickler(bytes_of(bytes, entries.at(root + "data.pkl")), file.string());
  const pickle::Value& top = unpickler.load();
  return {list_state_dict(top, file, bytes.size(),
                          [&](const std::string& key) {
                            const auto found = entries.find(root + "data/" + key);
                            FARTHING_REQUIRE(found != entries.end(), Code::kCorruptData,
                                             "a storage is missing",
                                             {{"file", file.string()}, {"storage", printable(key)}},
                                             "the file is incomplete; fetch it again");
                            return found->second;
                          }),
          {}};
}

}  // namespace farthing::checkpoint
