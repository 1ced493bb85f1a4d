// What each consumer accepts, written down: methods, widths, groups, tiles of its kernels, and the fields of
// the config that its loader reads without asking. Facts: formats-and-algorithms A1.12, A2, A3, A4, A5.6 and
// the consumers' own loaders.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "evaluate/verify.h"
#include "scheme/scheme.h"

namespace farthing::evaluate {

struct ConsumerProfile {
  std::string_view name;
  std::vector<std::string_view> methods;  // quant_method values it loads ("none": dense; "gguf": a GGUF file)
  std::vector<int> packed_bits;           // widths of packed integer weights; empty: any
  std::vector<std::int64_t> group_sizes;  // -1: a scale per channel; empty: any
  std::int64_t rows_multiple = 1;         // kernels' tiles: out_features ...
  std::int64_t columns_multiple = 1;      // ... and in_features
  bool needs_format_metadata = false;     // __metadata__ {"format": "pt"}
};

std::span<const ConsumerProfile> consumer_profiles();

/// Null for a name that is not known.
const ConsumerProfile* find_consumer(std::string_view name);

/// Why the consumer has no kernel for weights and inputs under `scheme`, stored as `method`; empty when it
/// has. Tiles of shapes are not looked at.
std::string refusal(const ConsumerProfile& consumer, std::string_view method, const scheme::Scheme& scheme);

/// What is missing from, or cannot be in, the quantization_config of a checkpoint of `method` for this
/// consumer.
std::vector<Problem> check_config_fields(const ConsumerProfile& consumer, std::string_view method,
                                         const Json& quantization_config);

/// What stands in the way of llama.cpp in the metadata of a GGUF file.
std::vector<Problem> check_gguf_metadata(const Json& metadata, std::int64_t vocab_size);

}  // namespace farthing::evaluate
