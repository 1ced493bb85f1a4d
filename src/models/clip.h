// The CLIP vision tower, as LLaVA uses it.
#pragma once

#include <string>

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

/// Declares the tower that a `vision_config` describes at `path`. Features: every patch after the last layer,
/// and no class token.
nn::VisionSpec clip_tower(const Config& vision_config, std::string path);

}  // namespace farthing::models
