// From one format to another without touching a single value, or from any format to plain weights.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/cancel.h"
#include "base/reporter.h"
#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "nn/declaration.h"

namespace farthing::quantize {

struct ConvertOptions {
  std::filesystem::path output;
  std::string format;          // as --format spells it; empty: plain weights
  std::optional<DType> dtype;  // of plain weights; none: the model's
  bool overwrite = false;
};

struct ConvertResult {
  std::string from, to;     // methods: "awq", "compressed-tensors"; "none" for plain weights
  bool lossless = true;     // false: plain weights are rounded to their type
  std::int64_t layers = 0;  // quantized weights that were converted
  std::uint64_t bytes_in = 0, bytes_out = 0;
};

/// Writes the folder. With a format, codes, scales and zero points are carried over, everything else is
/// copied byte for byte, and the result is read back and compared. `spec` names the linears that are not
/// quantized; without it they are guessed. Throws kUnsupported naming module and loss where the target cannot
/// hold what the source has, kInvalidArgument when there is nothing to convert.
ConvertResult convert(const checkpoint::Checkpoint& source, const std::optional<nn::ModelSpec>& spec,
                      const ConvertOptions& options, ThreadPool& pool, Reporter& reporter,
                      const CancelToken& cancel);

}  // namespace farthing::quantize
