// The quantization_config of compressed-tensors: what was done to which modules.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "formats/weight_format.h"

namespace farthing::formats::compressed_tensors {

/// How the codes of a weight are stored.
enum class Container : std::uint8_t {
  kPackedIntegers,  // weight_packed I32: several codes per word
  kPlainIntegers,   // weight I8: one code per byte
  kFp8,             // weight F8_E4M3
  kPackedFp4,       // weight_packed U8: two codes per byte
};

Container container_of(std::string_view format);

/// Returns the name of the format in which `scheme` is written: its own, or the one that current
/// llm-compressor chooses.
std::string format_for(const scheme::Scheme& scheme);

struct Config {
  std::vector<scheme::ConfigGroup> groups;
  std::string format;  // of the model: one name, or "mixed-precision"
  std::optional<scheme::QuantizationArgs> kv_cache_scheme;
};

/// Reads the block. Throws kInvalidArgument naming the key for contents that compressed-tensors rejects too,
/// kUnsupported for legacy sparse formats and for rotations that the runtime would have to do. Unknown
/// top-level keys are ignored.
Config parse_config(const Json& block);

/// Writes the block so that releases from 0.12 on accept it.
Json config_json(const ModelQuantization& model);

}  // namespace farthing::formats::compressed_tensors
