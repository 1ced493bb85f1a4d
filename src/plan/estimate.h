// What running or quantizing a model will take, from headers alone: nothing is loaded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/thread_pool.h"
#include "checkpoint/checkpoint.h"
#include "nn/declaration.h"

namespace farthing::plan {

struct EstimateOptions {
  std::string scheme;                             // run it quantized by this preset; empty: as it is
  std::string method = "auto";                    // of quantizing: as RecipeFlags::method
  bool gptaq = false;                             // likewise
  std::int64_t samples = 0, sequence_length = 0;  // of calibration; both 0: the built-in set
  std::int64_t context = 0;  // tokens of prompt and answer; 0: what the model was made for, at most 4096
};

/// Bytes and seconds. What cannot be known (of an unknown family, or of a checkpoint that is quantized
/// already) is left open.
struct Estimate {
  std::uint64_t weights_bytes = 0;
  std::int64_t context = 0;
  std::optional<std::uint64_t> kv_cache_bytes;     // of one sequence of `context` tokens
  std::optional<std::uint64_t> activations_bytes;  // while a prompt of that length is computed
  std::uint64_t run_peak_bytes = 0;

  std::string quantize_scheme;  // of the numbers below: the one asked for, or W4A16
  std::optional<std::uint64_t> quantize_peak_bytes;
  std::optional<double> quantize_seconds;  // on this machine
  std::optional<std::uint64_t> output_bytes;

  /// The longest context whose run stays within `memory` bytes; nothing when the weights alone do not.
  std::optional<std::int64_t> largest_context(std::uint64_t memory) const;
};

/// Throws kInvalidArgument for an unknown scheme or a context beyond learned positions, kUnsupported when a
/// scheme is asked for that this checkpoint cannot take.
Estimate estimate_model(const checkpoint::Checkpoint& checkpoint, const std::optional<nn::ModelSpec>& spec,
                        const EstimateOptions& options, ThreadPool& pool);

/// What `parameters` weights of `bits` each take, when nothing else is known. Throws kInvalidArgument for
/// bits outside 1 to 64.
Estimate estimate_parameters(std::int64_t parameters, double bits);

}  // namespace farthing::plan
