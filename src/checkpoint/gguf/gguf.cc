#include "checkpoint/gguf/gguf.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/byte_reader.h"
#include "checkpoint/gguf/blocks.h"
#include "checkpoint/gguf/model.h"

namespace farthing::checkpoint::gguf {
namespace {

constexpr std::string_view kMagic = "GGUF";
constexpr std::uint32_t kOldestVersion = 2, kNewestVersion = 3;
constexpr std::uint64_t kDefaultAlignment = 32, kLargestAlignment = 1 << 20;
constexpr std::uint64_t kLongestName = 65535;
constexpr std::uint32_t kMaxDimensions = 4;
constexpr double kMostElements = 281474976710656;  // 2^48

// Types of which an element is an ordinary number.
struct PlainType {
  std::uint32_t id;
  DType dtype;
};
constexpr PlainType kPlainTypes[] = {{0, DType::kF32},  {1, DType::kF16},  {24, DType::kI8},
                                     {25, DType::kI16}, {26, DType::kI32}, {27, DType::kI64},
                                     {28, DType::kF64}, {30, DType::kBF16}};

// A block type of our own, which no file has: F32 values of which one is taken away.
constexpr std::uint32_t kFactorsLessOne = ~std::uint32_t{0};

enum class ValueType : std::uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64
};

class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> bytes, std::string file, bool keep_arrays)
      : in_(bytes, std::move(file)), keep_arrays_(keep_arrays) {}

  Container read(const Json& first_values) {
    const std::uint64_t num_tensors = read_metadata();
    is_further_ = first_values.is_object();
    if (is_further_) metadata_ = first_values;
    for (std::uint64_t i = 0; i < num_tensors; ++i) read_tensor_info();
    place_tensors();
    return finish();
  }

  const Json& metadata() const { return metadata_; }

  /// Returns the number of tensors, whose facts come next.
  std::uint64_t read_metadata() {
    in_.skip(kMagic.size());
    const auto version = in_.number<std::uint32_t>();
    FARTHING_REQUIRE(version >= kOldestVersion && version <= kNewestVersion, Code::kUnsupported,
                     "this version of GGUF is not read", {{"file", in_.file()}, {"version", version}},
                     "versions 2 and 3 in little-endian order are");
    const auto num_tensors = in_.number<std::uint64_t>(), num_values = in_.number<std::uint64_t>();
    require_count(num_tensors, "tensors");
    require_count(num_values, "metadata values");
    for (std::uint64_t i = 0; i < num_values; ++i) {
      std::string key = text(kLongestName);
      metadata_[std::move(key)] = value(static_cast<ValueType>(in_.number<std::uint32_t>()));
    }
    return num_tensors;
  }

 private:
  [[noreturn]] void refuse(std::string_view problem, std::string_view name) const {
    throw Error(Code::kCorruptData, std::string(problem), {{"file", in_.file()}, {"at", printable(name)}},
                "it may be truncated; fetch it again");
  }

  // Every entry takes some bytes, so that a count that lies cannot make the reader run long.
  void require_count(std::uint64_t count, std::string_view what) const {
    if (count > in_.remaining()) refuse("a count is larger than the file", what);
  }

  std::string text(std::uint64_t longest) {
    const auto length = in_.number<std::uint64_t>();
    if (length > longest) refuse("a name is too long", std::to_string(length));
    return std::string(in_.take(length));
  }

  // Arrays are those of a vocabulary: long, and kept only for its sake.
  Json value(ValueType type, int depth = 0) {
    switch (type) {
      case ValueType::kU8:
        return in_.number<std::uint8_t>();
      case ValueType::kI8:
        return in_.number<std::int8_t>();
      case ValueType::kU16:
        return in_.number<std::uint16_t>();
      case ValueType::kI16:
        return in_.number<std::int16_t>();
      case ValueType::kU32:
        return in_.number<std::uint32_t>();
      case ValueType::kI32:
        return in_.number<std::int32_t>();
      case ValueType::kU64:
        return in_.number<std::uint64_t>();
      case ValueType::kI64:
        return in_.number<std::int64_t>();
      case ValueType::kF32:
        return in_.number<float>();
      case ValueType::kF64:
        return in_.number<double>();
      case ValueType::kBool:
        return in_.number<std::uint8_t>() != 0;
      case ValueType::kString:
        return printable_or_raw(text(in_.remaining()));
      case ValueType::kArray: {
        if (depth > 1) refuse("arrays are nested too deeply", "metadata");
        const auto element = static_cast<ValueType>(in_.number<std::uint32_t>());
        const auto count = in_.number<std::uint64_t>();
        require_count(count, "elements of an array");
        Json array;
        for (std::uint64_t i = 0; i < count; ++i) {
          Json item = value(element, depth + 1);
          if (keep_arrays_) array.push_back(std::move(item));
        }
        return array;
      }
    }
    refuse("a metadata value has an unknown type", std::to_string(static_cast<std::uint32_t>(type)));
  }

  // Text goes into a config, which must be UTF-8.
  static std::string printable_or_raw(std::string text) {
    const std::string valid = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
    return Json::parse(valid) == Json(text) ? text : printable(text);
  }

  void read_tensor_info() {
    const std::string name = text(kLongestName);
    const auto rank = in_.number<std::uint32_t>();
    if (rank == 0 || rank > kMaxDimensions) refuse("a tensor has an impossible number of dimensions", name);
    TensorInfo info{.name = name};
    info.shape.resize(rank);
    double elements = 1;
    for (std::uint32_t axis = 0; axis < rank; ++axis) {  // the fastest one first
      const auto size = in_.number<std::uint64_t>();
      elements *= static_cast<double>(size);
      if (elements > kMostElements) refuse("a tensor has an impossible shape", name);
      info.shape[rank - 1 - axis] = static_cast<std::int64_t>(size);
    }
    set_type(info, in_.number<std::uint32_t>());
    info.offset =
        in_.number<std::uint64_t>();  // counted from the data section, which begins after the headers
    tensors_.push_back(std::move(info));
  }

  void set_type(TensorInfo& info, std::uint32_t id) const {
    for (const PlainType& plain : kPlainTypes) {
      if (plain.id != id) continue;
      info.dtype = plain.dtype;
      info.num_bytes = tensor_bytes(plain.dtype, info.shape);
      info.stored_bytes = info.num_bytes;
      return;
    }
    const BlockType* type = find_block_type(id);
    FARTHING_REQUIRE(type != nullptr, Code::kUnsupported, "a tensor has an unknown type",
                     {{"file", in_.file()}, {"tensor", printable(info.name)}, {"type", id}});
    if (info.shape.back() % type->values != 0) refuse("a tensor's rows do not hold whole blocks", info.name);
    info.dtype = DType::kF32;
    info.block_type = id;
    info.num_bytes = tensor_bytes(DType::kF32, info.shape);
    info.stored_bytes = static_cast<std::uint64_t>(num_elements(info.shape) / type->values) *
                        static_cast<std::uint64_t>(type->bytes);
  }

  void place_tensors() {
    std::uint64_t alignment = kDefaultAlignment;
    if (const auto found = metadata_.find("general.alignment"); found != metadata_.end()) {
      if (!found->is_number_unsigned() || *found == 0 || *found > kLargestAlignment)
        refuse("the alignment is impossible", "general.alignment");
      alignment = found->get<std::uint64_t>();
    }
    const std::uint64_t start = (in_.position() + alignment - 1) / alignment * alignment;
    const std::uint64_t end = in_.position() + in_.remaining();
    for (TensorInfo& info : tensors_) {
      const std::uint64_t room = end > start ? end - start : 0;
      if (info.offset % alignment != 0 || info.offset > room || info.stored_bytes > room - info.offset)
        refuse("a tensor lies outside of the file", info.name);
      info.offset += start;
      info.file = in_.file();
    }
  }

  Container finish() {
    Container container;
    ModelFacts facts;
    for (TensorInfo& info : tensors_) {
      const std::string original = info.name;
      if (original == "token_embd.weight") facts.vocab_size = info.shape.front();
      facts.has_head = facts.has_head || original == "output.weight";
      facts.has_attention_bias = facts.has_attention_bias || original.ends_with(".attn_q.bias");
      if (original == "rope_freqs.weight" && info.dtype == DType::kF32 && info.block_type == 0)
        facts.largest_rope_factor = largest_value(info);
      if (original.ends_with("_exps.weight") && take_experts(info, container.tensors)) continue;
      const std::optional<std::string> name = tensor_name(metadata_, original);
      if (!name) continue;
      info.name = *name;
      if (original.ends_with(".ffn_gate_inp_shexp.weight") && info.shape.size() == 1)
        info.shape.insert(info.shape.begin(), 1);  // a linear of one output
      if (holds_factors(metadata_, original)) {
        if (info.dtype != DType::kF32 || info.block_type != 0) refuse("a norm is not of type F32", original);
        info.block_type = kFactorsLessOne;
      }
      info.interleaved_heads = interleaved_heads(metadata_, original);
      const bool divides =
          info.interleaved_heads == 0 || info.shape.front() % (2 * info.interleaved_heads) == 0;
      if (!divides) refuse("a tensor's rows are not those of its heads", original);
      container.tensors.push_back(std::move(info));
    }
    if (!is_further_) container.config = model_config(metadata_, facts, in_.file());
    container.gguf_values = metadata_;
    for (const auto& [key, value] : metadata_.items()) {
      if (value.is_string()) container.metadata.emplace(key, value.get<std::string>());
    }
    return container;
  }

  // A stack of experts becomes a tensor for each. Stacks that lie over each other are refused, so that a
  // small file cannot name many experts.
  bool take_experts(const TensorInfo& stack, std::vector<TensorInfo>& tensors) {
    if (stack.shape.size() != 3 || names_of_experts(metadata_, stack.name, 1).empty()) return false;
    const std::int64_t experts = stack.shape.front();
    stacked_bytes_ += stack.stored_bytes;
    const bool plausible = experts > 0 && static_cast<std::uint64_t>(experts) <= stack.stored_bytes &&
                           stacked_bytes_ <= in_.position() + in_.remaining();
    if (!plausible) refuse("a stack of experts is impossible", stack.name);
    const auto count = static_cast<std::uint64_t>(experts);
    TensorInfo piece = stack;
    piece.shape.erase(piece.shape.begin());
    piece.num_bytes /= count;
    piece.stored_bytes /= count;
    for (std::string& name : names_of_experts(metadata_, stack.name, experts)) {
      piece.name = std::move(name);
      tensors.push_back(piece);
      piece.offset += piece.stored_bytes;
    }
    return true;
  }

  float largest_value(const TensorInfo& info) {
    ByteReader values = in_;
    values.seek(info.offset);
    float largest = 0;
    for (std::int64_t i = 0; i < num_elements(info.shape); ++i)
      largest = std::max(largest, values.number<float>());
    return std::isfinite(largest) ? largest : 0;
  }

  ByteReader in_;
  bool keep_arrays_;
  bool is_further_ = false;  // a shard after the first
  std::uint64_t stacked_bytes_ = 0;
  Json metadata_ = Json::object();
  std::vector<TensorInfo> tensors_;
};

// Rows 2j and 2j + 1 of a head become its rows j and j + half: adjacent pairs that rotate together become
// halves.
Tensor separate_heads(const Tensor& tensor, std::int64_t heads) {
  const std::int64_t rows = tensor.dim(0), per_head = rows / heads, half = per_head / 2;
  const std::size_t row_bytes = rows > 0 ? tensor.num_bytes() / static_cast<std::size_t>(rows) : 0;
  Tensor result = Tensor::empty(tensor.dtype(), tensor.shape());
  for (std::int64_t row = 0; row < rows; ++row) {
    const std::int64_t head = row / per_head, within = row % per_head;
    const std::int64_t from = head * per_head + within % half * 2 + within / half;
    std::memcpy(result.mutable_bytes().data() + static_cast<std::size_t>(row) * row_bytes,
                tensor.bytes().data() + static_cast<std::size_t>(from) * row_bytes, row_bytes);
  }
  return result;
}

}  // namespace

bool is_gguf(std::span<const std::byte> bytes) {
  return bytes.size() >= kMagic.size() && std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
}

Container read_header(std::span<const std::byte> bytes, const std::filesystem::path& file,
                      const Json& first_values) {
  return HeaderReader(bytes, file.string(), false).read(first_values);
}

void complete_config(const std::vector<TensorInfo>& tensors, Json& config) {
  bool has_head = false;
  for (const TensorInfo& info : tensors) {
    if (info.name == "model.embed_tokens.weight" && !info.shape.empty())
      config["vocab_size"] = info.shape.front();
    has_head = has_head || info.name == "lm_head.weight";
    if (info.name.ends_with("self_attn.q_proj.bias") && config.contains("attention_bias"))
      config["attention_bias"] = true;
  }
  config["tie_word_embeddings"] = !has_head;
}

Json read_metadata(const std::filesystem::path& file) {
  const MappedFile mapping(file);
  FARTHING_REQUIRE(is_gguf(mapping.bytes()), Code::kCorruptData, "this is not a GGUF file",
                   {{"file", file.string()}});
  HeaderReader reader(mapping.bytes(), file.string(), true);
  reader.read_metadata();
  return reader.metadata();
}

Tensor read_tensor(std::span<const std::byte> stored, const TensorInfo& info) {
  Tensor tensor = Tensor::empty(info.dtype, info.shape);
  if (info.block_type == 0 || info.block_type == kFactorsLessOne) {
    std::memcpy(tensor.mutable_bytes().data(), stored.data(), info.num_bytes);
    if (info.block_type == kFactorsLessOne) {
      for (std::int64_t i = 0; i < tensor.numel(); ++i) tensor.mutable_data<float>()[i] -= 1;
    }
  } else {
    const BlockType& type = *find_block_type(info.block_type);
    const auto* block = reinterpret_cast<const std::uint8_t*>(stored.data());
    float* values = tensor.mutable_data<float>();
    for (std::int64_t i = 0; i < tensor.numel(); i += type.values, block += type.bytes)
      type.decode(block, values + i);
  }
  return info.interleaved_heads > 0 ? separate_heads(tensor, info.interleaved_heads) : tensor;
}

}  // namespace farthing::checkpoint::gguf
