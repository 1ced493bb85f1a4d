// Where every byte of a safetensors file will lie, known from names, types and shapes alone.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "checkpoint/writer.h"

namespace farthing::checkpoint {

struct SafetensorsLayout {
  std::string header;                  // length field, JSON and padding: all bytes before the data
  std::vector<std::uint64_t> offsets;  // absolute, one per planned tensor, in the order of the plan
  std::uint64_t file_bytes = 0;
};

/// Lays tensors out by descending element size, otherwise in the order given, and pads the header with spaces
/// so that the data begins at a multiple of 8: every tensor is aligned to its element. Throws kCorruptData
/// for an impossible shape, kInvalidArgument for a name that comes twice, is empty or is "__metadata__".
SafetensorsLayout lay_out_safetensors(const std::vector<TensorPlan>& plan,
                                      const std::map<std::string, std::string>& metadata);

}  // namespace farthing::checkpoint
