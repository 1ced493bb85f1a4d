// Mixtures of experts as family files share them.
#pragma once

#include <string>

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

/// A router "gate" and experts at "experts.E", each an `expert`. Checks the counts, which are under these
/// keys of the config.
nn::MoeSpec mixture(const Config& config, std::string name, std::string class_name, nn::MlpSpec expert,
                    std::string_view experts_key, std::int64_t default_experts,
                    std::int64_t default_experts_per_token);

/// True for the layers that Qwen's decoder_sparse_step and mlp_only_layers make sparse.
bool is_sparse(const Config& config, std::int64_t layer);

}  // namespace farthing::models
