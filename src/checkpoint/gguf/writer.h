// Writes GGUF version 3: typed metadata, then tensors at aligned places. The layout is fixed before the first
// byte, tensors are filled in any order.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/file.h"
#include "tensor/tensor.h"

namespace farthing::checkpoint::gguf {

/// A metadata value; the alternative decides its type in the file.
using Value = std::variant<bool, std::uint32_t, std::int32_t, float, std::string, std::vector<std::uint8_t>,
                           std::vector<std::int32_t>, std::vector<float>, std::vector<std::string>>;
using Metadata = std::vector<std::pair<std::string, Value>>;  // in the order of the file

/// What will be written under `name`. `shape` has the slowest dimension first, as in safetensors; `type` is
/// ggml's number: a plain type or one of blocks.h.
struct PlannedTensor {
  std::string name;
  std::uint32_t type = 0;
  Shape shape;
};

/// ggml's number of a plain element type. Throws kUnsupported for types that it does not have.
std::uint32_t plain_type(DType dtype);

/// ggml's number of "F16", "Q4_K". The name must be known.
std::uint32_t type_of_name(std::string_view name);

/// "F16", "Q4_K".
std::string_view type_name(std::uint32_t type);

/// Bytes of a tensor of this type. Throws kInvalidArgument when rows do not hold whole blocks.
std::uint64_t stored_bytes(std::uint32_t type, const Shape& shape);

class Writer {
 public:
  enum class Start {
    kNew,
    kResume,  // in the file that an earlier Writer with the same metadata and tensors left, if there is one
  };

  /// Creates `file` at its final size. Throws kInvalidArgument for a name or key that comes twice, a shape
  /// that the type or the format cannot hold, or an earlier file with another header; kResources when the
  /// disk is full.
  Writer(const std::filesystem::path& file, const Metadata& metadata, std::vector<PlannedTensor> tensors,
         Start start = Start::kNew);

  /// Writes a whole tensor, in the bytes of its type.
  void write(std::string_view name, std::span<const std::byte> bytes);

  /// Writes a piece of a tensor, which is whole once the piece at its end is written.
  void write_piece(std::string_view name, std::uint64_t offset, std::span<const std::byte> bytes);

  /// Says that an earlier Writer wrote this tensor and made it durable.
  void mark_written(std::string_view name);

  /// Returns once everything written is on the disk.
  void sync() { file_.sync(); }

  /// Checks that nothing is missing and returns once the file is on the disk.
  void finish();

  std::uint64_t file_bytes() const { return file_bytes_; }

 private:
  struct Place {
    std::uint64_t offset = 0, bytes = 0;
    bool written = false;
  };
  Place& place_of(std::string_view name);

  std::map<std::string, Place, std::less<>> places_;
  std::uint64_t file_bytes_ = 0;
  PositionalFile file_;
};

}  // namespace farthing::checkpoint::gguf
