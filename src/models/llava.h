// The shape that LLaVA gave to many models: a tower, a projector of two linears, and a text decoder of any
// registered family.
#pragma once

#include <string>

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

/// What a family of this shape assumes about keys that the file leaves out, and how its classes are called.
struct LlavaDefaults {
  std::string family;
  std::string class_prefix;  // "LlavaNext" in LlavaNextForConditionalGeneration
  std::string text_type = "llama";
  std::string vision_type = "clip_vision_model";
  std::int64_t feature_layer = -2;
  std::string strategy = "default";  // what becomes of the class token: "default" drops it, "full" keeps it
  bool projector_bias = true;
  std::int64_t image_token_id = 32000;
};

/// Declares the model with its tower (CLIP, SigLIP or Pixtral, as vision_config says) at "model.vision_tower"
/// and its projector at "model.multi_modal_projector".
nn::ModelSpec llava_model(const Config& config, const LlavaDefaults& defaults);

}  // namespace farthing::models
