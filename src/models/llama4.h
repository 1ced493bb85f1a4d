// The text part of Llama 4, for the model with pictures and without.
#pragma once

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

/// Declares the decoder of a Llama4TextConfig at "model" with its head at "lm_head".
nn::DecoderSpec llama4_decoder(const Config& text_config);

}  // namespace farthing::models
