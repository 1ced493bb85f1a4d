#include "models/moe_parts.h"

#include <algorithm>

namespace farthing::models {

nn::MoeSpec mixture(const Config& config, std::string name, std::string class_name, nn::MlpSpec expert,
                    std::string_view experts_key, std::int64_t default_experts,
                    std::int64_t default_experts_per_token) {
  constexpr std::int64_t kMostExperts = 1 << 16;  // in all layers: a nonsense value shall do no harm
  const std::int64_t num_layers = config.num_layers("num_hidden_layers", 32);
  const std::int64_t num_experts = config.size(experts_key, default_experts);
  const std::int64_t per_token = config.size("num_experts_per_tok", default_experts_per_token);
  config.require(num_experts <= kMostExperts / num_layers, experts_key,
                 "the model configuration asks for too many experts");
  config.require(per_token <= num_experts, "num_experts_per_tok",
                 "a token cannot go to more experts than there are");
  return {.name = std::move(name),
          .class_name = std::move(class_name),
          .router = {"gate", expert.up.in_features, num_experts},
          .experts_name = "experts",
          .num_experts = num_experts,
          .num_experts_per_token = per_token,
          .expert = std::move(expert)};
}

bool is_sparse(const Config& config, std::int64_t layer) {
  constexpr std::string_view kDense = "mlp_only_layers";
  if (config.has(kDense)) {
    const Json& dense = config.json()[kDense];
    config.require(dense.is_array(), kDense, "mlp_only_layers should be a list of layers");
    if (std::find(dense.begin(), dense.end(), layer) != dense.end()) return false;
  }
  return (layer + 1) % config.size("decoder_sparse_step", 1) == 0;
}

}  // namespace farthing::models
