#include "checkpoint/safetensors.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include "base/json.h"
#include "checkpoint/byte_reader.h"

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxRank = 64;  // as in torch
constexpr const char* kFetchAgain = "the file may be damaged or incomplete; fetch it again";

// Follows the JSON parser through the header: {"name": {"dtype": "F32", "shape": [2], "data_offsets": [0,
// 8]}, ...}. Events instead of a document, because a document would hide repeated keys and costs more than
// the rest of opening.
class HeaderEvents {
 public:
  HeaderEvents(Container& container, const fs::path& file) : container_(container), file_(file) {}

  bool start_object(std::size_t) {
    if (where_ == Where::kOutside) {
      where_ = Where::kTop;
    } else if (where_ == Where::kTop && name_ == "__metadata__") {
      where_ = Where::kMetadata;
    } else if (where_ == Where::kTop) {
      where_ = Where::kTensor;
      dtype_.reset();
      shape_.reset();
      offsets_.reset();
    } else {
      fail("header has an object where there should be none");
    }
    return true;
  }

  bool key(std::string& text) {
    if (where_ == Where::kTensor) {
      field_ = text;
      const bool again = (field_ == "dtype" && dtype_) || (field_ == "shape" && shape_) ||
                         (field_ == "data_offsets" && offsets_);
      if (again) fail("header has a key twice");
    } else if (where_ == Where::kMetadata) {
      field_ = text;
      if (container_.metadata.contains(field_)) fail("header has a key twice");
    } else {
      name_ = text;
      field_.clear();
      if (!names_.insert(name_).second) fail("header names a tensor twice");
    }
    return true;
  }

  bool end_object() {
    if (where_ == Where::kTensor) add_tensor();
    where_ = where_ == Where::kTop ? Where::kOutside : Where::kTop;
    return true;
  }

  bool start_array(std::size_t) {
    if (where_ != Where::kTensor || (field_ != "shape" && field_ != "data_offsets"))
      fail("header has a list where there should be none");
    where_ = Where::kNumbers;
    (field_ == "shape" ? shape_ : offsets_).emplace();
    return true;
  }

  bool end_array() {
    where_ = Where::kTensor;
    return true;
  }

  bool string(std::string& text) {
    if (where_ == Where::kMetadata) {
      container_.metadata.emplace(field_, text);
    } else if (where_ == Where::kTensor && field_ == "dtype") {
      dtype_ = parse_dtype(text);
      FARTHING_REQUIRE(dtype_, Code::kUnsupported, "element type is not known",
                       {{"file", file_.string()}, {"tensor", name_}, {"dtype", printable(text)}});
    } else {
      fail("header has a text where there should be none");
    }
    return true;
  }

  bool number_unsigned(std::uint64_t value) {
    if (where_ != Where::kNumbers || value > INT64_MAX) fail("header has a number that is not possible");
    Shape& numbers = *(field_ == "shape" ? shape_ : offsets_);
    if (numbers.size() == kMaxRank) fail("header has too many numbers for one tensor");
    numbers.push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool number_integer(std::int64_t value) { fail("header has a negative number", value); }
  bool number_float(double value, const std::string&) {
    fail("header has a number that is not a whole number", value);
  }
  bool boolean(bool value) { fail("header has a value of the wrong kind", value); }
  bool null() {
    if (where_ != Where::kTop || name_ != "__metadata__")
      fail("header has a value of the wrong kind", "null");
    return true;
  }
  bool binary(Json::binary_t&) { fail("header has a value of the wrong kind"); }

  bool parse_error(std::size_t position, const std::string&, const Json::exception& error) {
    throw Error(
        Code::kCorruptData, "header is not valid JSON",
        {{"file", file_.string()}, {"byte", kLengthBytes + position}, {"reason", printable(error.what())}},
        kFetchAgain);
  }

 private:
  enum class Where { kOutside, kTop, kMetadata, kTensor, kNumbers };

  void add_tensor() {
    if (!dtype_ || !shape_ || !offsets_) fail("header lacks dtype, shape or data_offsets");
    if (offsets_->size() != 2 || offsets_->at(0) > offsets_->at(1))
      fail("data_offsets are not a begin and an end", to_string(*offsets_));
    const auto begin = static_cast<std::uint64_t>(offsets_->at(0)),
               end = static_cast<std::uint64_t>(offsets_->at(1));
    container_.tensors.push_back({name_, *dtype_, std::move(*shape_), file_, begin, end - begin, {}});
  }

  template <typename T = std::string_view>
  [[noreturn]] void fail(std::string text, const T& value = {}) const {
    std::vector<Field> fields = {{"file", file_.string()}};
    if (!name_.empty()) fields.emplace_back("tensor", printable(name_));
    if (!field_.empty()) fields.emplace_back("key", printable(field_));
    if constexpr (!std::is_same_v<T, std::string_view>) fields.emplace_back("value", value);
    throw Error(Code::kCorruptData, std::move(text), std::move(fields), kFetchAgain);
  }

  Container& container_;
  const fs::path& file_;
  std::unordered_set<std::string> names_;
  Where where_ = Where::kOutside;
  std::string name_, field_;
  std::optional<DType> dtype_;
  std::optional<Shape> shape_, offsets_;
};

void check_size(const TensorInfo& info, std::uint64_t data_bytes) {
  std::uint64_t expected = 0;
  try {
    expected = tensor_bytes(info.dtype, info.shape);
  } catch (const Error& error) {
    std::vector<Field> fields = {{"file", info.file.string()}, {"tensor", info.name}};
    fields.insert(fields.end(), error.fields().begin(), error.fields().end());
    throw Error(error.code(), error.message(), std::move(fields), kFetchAgain);
  }
  FARTHING_REQUIRE(info.num_bytes == expected, Code::kCorruptData, "data_offsets do not fit shape and dtype",
                   {{"file", info.file.string()},
                    {"tensor", info.name},
                    {"shape", to_string(info.shape)},
                    {"dtype", dtype_name(info.dtype)},
                    {"expected_bytes", expected},
                    {"bytes", info.num_bytes}},
                   kFetchAgain);
  FARTHING_REQUIRE(info.offset + info.num_bytes <= data_bytes, Code::kCorruptData,
                   "tensor lies past the end of the file",
                   {{"file", info.file.string()},
                    {"tensor", info.name},
                    {"data_bytes", data_bytes},
                    {"ends_at", info.offset + info.num_bytes}},
                   "the file is truncated; fetch it again");
}

// Every byte of the data belongs to exactly one tensor.
void check_coverage(const std::vector<TensorInfo>& tensors, std::uint64_t data_bytes, const fs::path& file) {
  std::vector<const TensorInfo*> order;
  for (const TensorInfo& info : tensors) order.push_back(&info);
  std::sort(order.begin(), order.end(), [](const TensorInfo* a, const TensorInfo* b) {
    return std::pair(a->offset, a->num_bytes) < std::pair(b->offset, b->num_bytes);
  });
  std::uint64_t end = 0;
  std::string_view previous = "the header";
  for (const TensorInfo* info : order) {
    FARTHING_REQUIRE(info->offset == end, Code::kCorruptData,
                     info->offset < end ? "tensors overlap" : "bytes belong to no tensor",
                     {{"file", file.string()},
                      {"tensor", info->name},
                      {"begins_at", info->offset},
                      {"after", previous},
                      {"which_ends_at", end}},
                     kFetchAgain);
    end += info->num_bytes;
    previous = info->name;
  }
  FARTHING_REQUIRE(end == data_bytes, Code::kCorruptData, "file is longer than its tensors",
                   {{"file", file.string()}, {"tensors_end_at", end}, {"data_bytes", data_bytes}},
                   kFetchAgain);
}

}  // namespace

Container read_safetensors_header(std::span<const std::byte> bytes, const fs::path& file) {
  ByteReader reader(bytes, file.string());
  const auto length = reader.number<std::uint64_t>();
  FARTHING_REQUIRE(length <= kMaxHeaderBytes, Code::kCorruptData, "header is impossibly long",
                   {{"file", file.string()}, {"header_bytes", length}, {"limit", kMaxHeaderBytes}},
                   "this is not a safetensors file");
  const std::string_view header = reader.take(length);
  FARTHING_REQUIRE(header.starts_with('{'), Code::kCorruptData, "header is not a JSON object",
                   {{"file", file.string()}}, "this is not a safetensors file");
  // The JSON library would take a NUL for the end of the text.
  FARTHING_REQUIRE(header.find('\0') == std::string_view::npos, Code::kCorruptData,
                   "header is not valid JSON", {{"file", file.string()}, {"reason", "it holds a NUL byte"}},
                   kFetchAgain);
  Container container;
  HeaderEvents events(container, file);
  Json::sax_parse(header, &events);
  for (const TensorInfo& info : container.tensors) check_size(info, reader.remaining());
  check_coverage(container.tensors, reader.remaining(), file);
  for (TensorInfo& info : container.tensors) info.offset += kLengthBytes + length;
  return container;
}

}  // namespace farthing::checkpoint
