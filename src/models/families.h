// One declaring function per family; each is in the file of its name.
#pragma once

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

nn::ModelSpec declare_llama(const Config& config);
nn::ModelSpec declare_mistral(const Config& config);
nn::ModelSpec declare_llava(const Config& config);

}  // namespace farthing::models
