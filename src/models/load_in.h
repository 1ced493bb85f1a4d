// A model whose plain weights are quantized while they are loaded, as bitsandbytes does it.
#pragma once

#include <string_view>

#include "base/thread_pool.h"
#include "models/model.h"

namespace farthing::models {

/// "4bit": NF4 in blocks of 64. "8bit": the weights of LLM.int8, a scale per row. Weights that are quantized
/// already stay what they are, and so does the head. Throws kInvalidArgument for another `form`. `pool` must
/// live as long as the model.
Model load_in(const Model& model, std::string_view form, ThreadPool& pool);

}  // namespace farthing::models
