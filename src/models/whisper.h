// Whisper's encoder, for models that hear with it.
#pragma once

#include <string>

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

/// What configuration classes of such towers differ in.
struct WhisperTowerDefaults {
  std::string class_prefix;  // "Whisper"
  std::int64_t hidden_size, intermediate_size, num_layers, num_heads, num_mel_bins;
};

nn::AudioSpec whisper_tower(const Config& config, const WhisperTowerDefaults& defaults, std::string path);

}  // namespace farthing::models
