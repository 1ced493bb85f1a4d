// The JSON text that bitsandbytes keeps beside every 4-bit weight, in a tensor of bytes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tensor/quantized_matrix.h"

namespace farthing::formats::bitsandbytes {

struct QuantState {
  NumberType type = NumberType::kNf4;
  std::int64_t block_size = 64;
  DType dtype = DType::kBF16;  // of the weight before, and of the values that come out
  std::int64_t rows = 0, columns = 0;
  struct Nested {
    std::int64_t block_size = 256;
    float offset = 0;
  };
  std::optional<Nested> nested;
};

/// "nf4" or "fp4".
std::string_view type_name(NumberType type);

/// Reads the text. `where` is the tensor's name. Throws kCorruptData naming the key, as bitsandbytes refuses
/// unknown ones.
QuantState parse_quant_state(std::string_view text, std::string_view where);

/// Writes the text as Python does. With nested scales it is filled with spaces to a length that does not
/// depend on the offset, so that files can be laid out before any work.
std::string quant_state_text(const QuantState& state);

}  // namespace farthing::formats::bitsandbytes
