#include "checkpoint/gguf/writer.h"

#include <cstring>
#include <set>

#include "base/directory.h"
#include "base/error.h"
#include "checkpoint/gguf/blocks.h"

namespace farthing::checkpoint::gguf {
namespace {

constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kAlignment = 32;  // the format's default, which needs no key
constexpr std::size_t kLongestTensorName = 63, kMostDimensions = 4;

struct WrittenType {
  DType dtype;
  std::uint32_t id;
  std::string_view name;
};
constexpr WrittenType kWrittenTypes[] = {
    {DType::kF32, 0, "F32"}, {DType::kF16, 1, "F16"}, {DType::kBF16, 30, "BF16"}};

enum WrittenValueType : std::uint32_t {
  kU8 = 0,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9
};

std::uint64_t aligned(std::uint64_t offset) {
  return (offset + kAlignment - 1) / kAlignment * kAlignment;
}

// The header, put together in memory.
class Header {
 public:
  template <typename T>
  void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void text(std::string_view value) {
    number<std::uint64_t>(value.size());
    bytes_ += value;
  }
  void value(const Value& value) {
    std::visit([this](const auto& held) { typed(held); }, value);
  }
  std::string& bytes() { return bytes_; }

 private:
  void typed(bool value) {
    number<std::uint32_t>(kBool);
    number<std::uint8_t>(value ? 1 : 0);
  }
  void typed(std::uint32_t value) {
    number<std::uint32_t>(kU32);
    number(value);
  }
  void typed(std::int32_t value) {
    number<std::uint32_t>(kI32);
    number(value);
  }
  void typed(float value) {
    number<std::uint32_t>(kF32);
    number(value);
  }
  void typed(const std::string& value) {
    number<std::uint32_t>(kString);
    text(value);
  }
  void typed(const std::vector<std::string>& values) {
    begin_array(kString, values.size());
    for (const std::string& value : values) text(value);
  }
  template <typename T>
  void typed(const std::vector<T>& values) {
    begin_array(std::is_same_v<T, float>          ? kF32
                : std::is_same_v<T, std::int32_t> ? kI32
                                                  : kU8,
                values.size());
    bytes_.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
  }
  void begin_array(WrittenValueType element, std::size_t count) {
    number<std::uint32_t>(kArray);
    number<std::uint32_t>(element);
    number<std::uint64_t>(count);
  }

  std::string bytes_ = "GGUF";
};

std::string make_header(const Metadata& metadata, const std::vector<PlannedTensor>& tensors) {
  Header header;
  header.number(kVersion);
  header.number<std::uint64_t>(tensors.size());
  header.number<std::uint64_t>(metadata.size());
  std::set<std::string_view> keys;
  for (const auto& [key, value] : metadata) {
    FARTHING_REQUIRE(keys.insert(key).second, Code::kInvalidArgument, "metadata key is used twice",
                     {{"key", key}});
    header.text(key);
    header.value(value);
  }
  std::uint64_t offset = 0;
  for (const PlannedTensor& tensor : tensors) {
    FARTHING_REQUIRE(tensor.name.size() <= kLongestTensorName && !tensor.shape.empty() &&
                         tensor.shape.size() <= kMostDimensions,
                     Code::kUnsupported, "GGUF cannot hold a tensor with this name or shape",
                     {{"tensor", tensor.name}, {"shape", to_string(tensor.shape)}});
    header.text(tensor.name);
    header.number(static_cast<std::uint32_t>(tensor.shape.size()));
    for (auto size = tensor.shape.rbegin(); size != tensor.shape.rend(); ++size)
      header.number(static_cast<std::uint64_t>(*size));
    header.number(tensor.type);
    header.number(offset);
    offset = aligned(offset + stored_bytes(tensor.type, tensor.shape));
  }
  header.bytes().resize(aligned(header.bytes().size()));
  return std::move(header.bytes());
}

// An unfinished file can only be continued by the run that began it.
void require_header(const PositionalFile& file, const std::string& header, std::uint64_t file_bytes) {
  std::string found(header.size(), '\0');
  if (file.size() == file_bytes) file.read_at(0, std::as_writable_bytes(std::span(found)));
  FARTHING_REQUIRE(found == header, Code::kInvalidArgument, "unfinished output belongs to another plan",
                   {{"file", file.path().string()}}, "add --no-resume to start over");
}

}  // namespace

std::uint32_t plain_type(DType dtype) {
  for (const WrittenType& known : kWrittenTypes) {
    if (known.dtype == dtype) return known.id;
  }
  throw Error(Code::kUnsupported, "GGUF has no such element type here", {{"dtype", dtype_name(dtype)}});
}

std::uint32_t type_of_name(std::string_view name) {
  for (const WrittenType& known : kWrittenTypes) {
    if (known.name == name) return known.id;
  }
  const BlockType* block = find_block_type(name);
  FARTHING_CHECK(block != nullptr, "{}", name);
  return block->id;
}

std::string_view type_name(std::uint32_t type) {
  for (const WrittenType& known : kWrittenTypes) {
    if (known.id == type) return known.name;
  }
  const BlockType* block = find_block_type(type);
  FARTHING_CHECK(block != nullptr, "{}", type);
  return block->name;
}

std::uint64_t stored_bytes(std::uint32_t type, const Shape& shape) {
  for (const WrittenType& known : kWrittenTypes) {
    if (known.id == type) return tensor_bytes(known.dtype, shape);
  }
  const BlockType* block = find_block_type(type);
  FARTHING_CHECK(block != nullptr, "{}", type);
  FARTHING_REQUIRE(!shape.empty() && shape.back() % block->values == 0, Code::kInvalidArgument,
                   "rows do not hold whole blocks", {{"shape", to_string(shape)}, {"type", block->name}});
  return static_cast<std::uint64_t>(num_elements(shape) / block->values * block->bytes);
}

Writer::Writer(const std::filesystem::path& file, const Metadata& metadata,
               std::vector<PlannedTensor> tensors, Start start)
    : file_(file, start == Start::kResume && path_exists(file) ? PositionalFile::Mode::kUpdate
                                                               : PositionalFile::Mode::kCreate) {
  const std::string header = make_header(metadata, tensors);
  file_bytes_ = header.size();
  for (PlannedTensor& tensor : tensors) {
    const std::uint64_t bytes = stored_bytes(tensor.type, tensor.shape);
    const bool is_new = places_.try_emplace(tensor.name, Place{file_bytes_, bytes}).second;
    FARTHING_REQUIRE(is_new, Code::kInvalidArgument, "tensor name is used twice", {{"tensor", tensor.name}});
    file_bytes_ = aligned(file_bytes_ + bytes);
  }
  if (file_.size() > 0) {
    require_header(file_, header, file_bytes_);
  } else {
    file_.reserve(file_bytes_);
    file_.write_at(0, std::as_bytes(std::span(header)));
  }
}

Writer::Place& Writer::place_of(std::string_view name) {
  const auto found = places_.find(name);
  FARTHING_CHECK(found != places_.end(), "{} was not planned", name);
  return found->second;
}

void Writer::write(std::string_view name, std::span<const std::byte> bytes) {
  const Place& place = place_of(name);
  FARTHING_CHECK(bytes.size() == place.bytes, "{}: {} bytes, planned {}", name, bytes.size(), place.bytes);
  write_piece(name, 0, bytes);
}

void Writer::write_piece(std::string_view name, std::uint64_t offset, std::span<const std::byte> bytes) {
  Place& place = place_of(name);
  FARTHING_CHECK(offset + bytes.size() <= place.bytes, "{}: {} bytes, planned {}", name,
                 offset + bytes.size(), place.bytes);
  file_.write_at(place.offset + offset, bytes);
  place.written = place.written || offset + bytes.size() == place.bytes;
}

void Writer::mark_written(std::string_view name) {
  place_of(name).written = true;
}

void Writer::finish() {
  for (const auto& [name, place] : places_)
    FARTHING_CHECK(place.written, "{} was planned and not written", name);
  file_.sync();
}

}  // namespace farthing::checkpoint::gguf
