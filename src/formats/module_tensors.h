// The tensors of one quantized module, read with errors that name file and tensor.
#pragma once

#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"

namespace farthing::formats {

class ModuleTensors {
 public:
  ModuleTensors(const checkpoint::Checkpoint& checkpoint, std::string_view module)
      : checkpoint_(checkpoint), module_(module) {}

  /// "MODULE.suffix".
  std::string name(std::string_view suffix) const { return fmt::format("{}.{}", module_, suffix); }
  /// Null when the file has no such tensor.
  const checkpoint::TensorInfo* find(std::string_view suffix) const { return checkpoint_.find(name(suffix)); }
  bool has(std::string_view suffix) const { return find(suffix) != nullptr; }

  /// Throws kNotFound when there is no such tensor.
  const checkpoint::TensorInfo& at(std::string_view suffix) const;
  Tensor read(std::string_view suffix) const;

  /// Throws kCorruptData with `problem` and what is known of the tensor unless `holds`.
  void require(bool holds, std::string_view suffix, std::string_view problem) const;

  /// The first of the module's tensors says where the module is; the folder when it has none.
  std::string file() const;

 private:
  const checkpoint::Checkpoint& checkpoint_;
  std::string module_;
};

/// Bits of all named tensors per element of a matrix [rows, columns].
double bits_per_weight(const checkpoint::Checkpoint& checkpoint, const std::vector<std::string>& tensors,
                       std::int64_t rows, std::int64_t columns);

/// Every module that has a tensor called MODULE + `suffix` (".qweight"), sorted.
std::vector<std::string> modules_with(const checkpoint::Checkpoint& checkpoint, std::string_view suffix);

/// Every tensor called MODULE + one of `suffixes` that is there.
std::vector<std::string> tensors_with(const ModuleTensors& module,
                                      std::span<const std::string_view> suffixes);

}  // namespace farthing::formats
