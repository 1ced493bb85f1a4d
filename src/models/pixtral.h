// Pixtral's vision tower, which LLaVA-shaped checkpoints and Mistral 3 use.
#pragma once

#include <string>

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

/// Declares the tower that a `vision_config` describes at `path`. Features: every patch after the last layer.
nn::VisionSpec pixtral_tower(const Config& vision_config, std::string path);

}  // namespace farthing::models
