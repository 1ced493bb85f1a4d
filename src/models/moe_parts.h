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
                    std::int64_t default_experts_per_token,
                    std::string_view experts_per_token_key = "num_experts_per_tok");

/// What DeepSeek's families assume about keys that the file leaves out.
struct DeepseekMoeDefaults {
  std::string_view class_name, expert_class_name;
  std::int64_t n_routed_experts = 256;
  std::int64_t num_experts_per_tok = 8;
  std::int64_t moe_intermediate_size = 2048;
  std::int64_t n_shared_experts = 1;  // 0: none
  std::int64_t n_group = 1, topk_group = 1;
  double routed_scaling_factor = 1.0;
  bool norm_topk_prob = true;
};

/// DeepSeek-V2's mixture at "mlp" beside shared experts that are one MLP; `dense` is the MLP of dense layers.
nn::MoeSpec deepseek_v2_mixture(const Config& config, const nn::MlpSpec& dense,
                                const DeepseekMoeDefaults& defaults);

/// DeepSeek-V3's: experts are chosen by sigmoids with a bias, within the best groups.
nn::MoeSpec deepseek_v3_mixture(const Config& config, const nn::MlpSpec& dense,
                                const DeepseekMoeDefaults& defaults);

/// Leaves the layers behind the last one, which predict further tokens, out of what a model needs.
void ignore_further_layers(const Config& config, nn::ModelSpec& model);

/// True for the layers that Qwen's decoder_sparse_step and mlp_only_layers make sparse.
bool is_sparse(const Config& config, std::int64_t layer);

}  // namespace farthing::models
