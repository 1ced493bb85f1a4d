// The words of GPTQ checkpoints: quantize_config.json of AutoGPTQ and GPTQModel, and the same keys in
// config.json.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/weight_format.h"

namespace farthing::formats::gptq {

/// How zero points are stored: v1 holds z - 1, v2 holds z.
enum class Version : std::uint8_t { kV1, kV2 };

/// What holds for one module.
struct Settings {
  int bits = 4;
  std::int64_t group_size = -1;  // -1: one group spans all columns
  bool symmetric = true;
  bool desc_act = false;  // groups may be scattered over the columns
  bool quantized = true;  // false: an entry "-:" of `dynamic` leaves the module alone
};

/// An entry of GPTQModel's `dynamic`: settings for the modules that a pattern fits, the first one wins.
struct Override {
  scheme::Target target;
  Settings settings;
};

struct Config {
  Version version = Version::kV1;
  bool is_auto_gptq = false;  // its kernels differ from the others': see reader.cc
  Settings settings;
  std::vector<Override> overrides;

  const Settings& settings_of(const scheme::ModuleNames& names) const;
};

/// Reads the block. Throws kCorruptData naming the key for values that no such checkpoint has, kUnsupported
/// for Marlin tiles and containers other than int32.
Config parse_config(const Json& block);

/// Returns the scheme that `settings` describe.
scheme::Scheme scheme_of(const Settings& settings);

/// Writes the block as current GPTQModel, transformers and vLLM read it.
Json config_json(const ModelQuantization& model, Version version);

}  // namespace farthing::formats::gptq
