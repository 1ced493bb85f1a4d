// What Gemma 2 and Gemma 3 share.
#pragma once

#include "models/llama.h"

namespace farthing::models {

/// The Llama skeleton with Gemma's scaled embedding, norms around both branches, query scale, soft caps (0:
/// none where the file does not say) and attention without window.
nn::DecoderSpec gemma_decoder(const Config& config, LlamaDefaults defaults, double attention_softcap,
                              double logit_softcap);

}  // namespace farthing::models
