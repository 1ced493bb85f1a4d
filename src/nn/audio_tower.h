// A tower of encoder blocks over the frames of a sound.
#pragma once

#include <memory>

#include "nn/vision_tower.h"

namespace farthing::nn {

/// Loads the tower that is declared. Its features of every sound are one row of a grid each, as many as the
/// tower makes or, where silence behind the sound is left out, as the sound fills.
std::unique_ptr<VisionTower> load_audio_tower(const AudioSpec& spec, const WeightSource& source);

}  // namespace farthing::nn
