#include "checkpoint/torch_legacy.h"

#include <unordered_map>

#include "checkpoint/byte_reader.h"
#include "checkpoint/state_dict.h"

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

// The ten bytes of the number 0x1950a86a20f9469cfc6c, after the opcode and length that every protocol uses
// for it.
constexpr std::string_view kMagic("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12);
constexpr std::size_t kMagicWithin = 32;  // of the begin: a newer protocol puts a frame before it
constexpr std::int64_t kProtocolVersion = 1001;

[[noreturn]] void fail(const fs::path& file, std::string_view reason) {
  throw Error(Code::kCorruptData, "legacy PyTorch file is damaged",
              {{"file", file.string()}, {"reason", reason}}, "fetch it again");
}

void require_little_endian(const pickle::Value& facts, const fs::path& file) {
  const auto* dict = facts.get<pickle::Dict>();
  if (dict == nullptr) fail(file, "it has no facts of the machine");
  for (const auto& [key, value] : dict->items) {
    const auto* name = key->get<std::string>();
    if (name == nullptr || *name != "little_endian") continue;
    const bool* little = value->get<bool>();
    FARTHING_REQUIRE(little != nullptr && *little, Code::kUnsupported,
                     "file was written on a machine of another byte order", {{"file", file.string()}},
                     "write it again on a little-endian machine");
  }
}

using Places = std::unordered_map<std::string, StoredBytes>;

// Storages follow the pickles in the order of `keys`; only the pickle knows their element sizes.
Places find_storages(const pickle::Unpickler& unpickler, const pickle::Value& keys,
                     std::span<const std::byte> bytes, const fs::path& file) {
  std::unordered_map<std::string, std::uint64_t> element_bytes;
  for (const pickle::Storage* storage : unpickler.storages()) {
    element_bytes[storage->key] =
        storage->dtype ? static_cast<std::uint64_t>(dtype_bits(*storage->dtype)) / 8 : 1;
  }
  const auto* list = keys.get<pickle::List>();
  if (list == nullptr) fail(file, "it has no list of storages");
  ByteReader reader(bytes, file.string(), unpickler.position());
  Places places;
  for (const pickle::Ref item : list->items) {
    const auto* key = item->get<std::string>();
    if (key == nullptr || !element_bytes.contains(*key)) fail(file, "it lists a storage that no tensor uses");
    const auto count = reader.number<std::int64_t>();
    std::uint64_t size = 0;
    if (count < 0 || __builtin_mul_overflow(static_cast<std::uint64_t>(count), element_bytes[*key], &size))
      fail(file, "a storage has an impossible length");
    const std::uint64_t offset = reader.position();
    reader.skip(size);
    places[*key] = {offset, size};
  }
  return places;
}

}  // namespace

bool is_torch_legacy(std::span<const std::byte> bytes) {
  const std::string_view begin(reinterpret_cast<const char*>(bytes.data()),
                               std::min(bytes.size(), kMagicWithin));
  return begin.starts_with('\x80') && begin.find(kMagic) != std::string_view::npos;
}

Container read_torch_legacy(std::span<const std::byte> bytes, const fs::path& file) {
  pickle::Unpickler unpickler(bytes, file.string());
  unpickler.load();  // the magic number
  const auto* version = unpickler.load().get<std::int64_t>();
  if (version == nullptr || *version != kProtocolVersion) fail(file, "its version is not 1001");
  require_little_endian(unpickler.load(), file);
  const pickle::Value& top = unpickler.load();
  const pickle::Value& keys = unpickler.load();
  const Places places = find_storages(unpickler, keys, bytes, file);
  return {list_state_dict(top, file, bytes.size(),
                          [&](const std::string& key) {
                            const auto found = places.find(key);
                            if (found == places.end()) fail(file, "a storage is missing");
                            return found->second;
                          }),
          {}};
}

}  // namespace farthing::checkpoint
