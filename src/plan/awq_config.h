// Runs described in the words of AutoAWQ's quant_config and of AwqConfig (transformers).
#pragma once

#include "plan/recipe.h"

namespace farthing::plan {

/// Whether a document is such a config: it says `w_bit` or `q_group_size`, or the method awq, and no scheme.
bool is_awq_config(const Json& document);

/// Turns one into a recipe that runs as AutoAWQ does (its grid, arithmetic in fp16, clipping) and whose
/// result is an AWQ checkpoint. `modules_to_not_convert` are parts of names. Keys that only steer AutoAWQ
/// (export_compatible, n_parallel_calib_samples ...) mean nothing here. Throws kUnsupported for packings
/// other than GEMM, which are read and not written; kInvalidArgument naming the key for values that are not
/// possible.
Recipe recipe_from_awq_config(const Json& document, const std::string& origin);

}  // namespace farthing::plan
