// The words of AutoAWQ checkpoints, in config.json or, in old ones, quant_config.json.
#pragma once

#include <string>
#include <string_view>

#include "formats/weight_format.h"

namespace farthing::formats::autoawq {

/// How codes are packed: for which of AutoAWQ's kernels the file was made.
enum class Version : std::uint8_t { kGemm, kGemv, kGemvFast };

struct Config {
  Version version = Version::kGemm;
  std::int64_t group_size = 128;  // -1: one group spans all columns
};

/// Reads the block. Whatever `zero_point` says, the file has zero points and they count. Throws kCorruptData
/// naming the key, kUnsupported for other widths than 4 bits and for tiles of other kernels.
Config parse_config(const Json& block);

scheme::Scheme scheme_of(const Config& config);

/// Writes the block that AutoAWQ, transformers and vLLM read.
Json config_json(const ModelQuantization& model);

}  // namespace farthing::formats::autoawq
