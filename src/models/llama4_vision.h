// What Llama 4 makes of pictures.
#pragma once

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

/// Adds tower, projector and placeholders of a whole Llama4Config to a model that has its decoder.
void add_llama4_vision(const Config& config, nn::ModelSpec& model);

}  // namespace farthing::models
