#include "models/moe_parts.h"

#include <algorithm>

#include "models/llama.h"
#include "models/parts.h"

namespace farthing::models {

nn::MoeSpec mixture(const Config& config, std::string name, std::string class_name, nn::MlpSpec expert,
                    std::string_view experts_key, std::int64_t default_experts,
                    std::int64_t default_experts_per_token, std::string_view experts_per_token_key) {
  constexpr std::int64_t kMostExperts = 1 << 16;  // in all layers: a nonsense value shall do no harm
  const std::int64_t num_layers = config.num_layers("num_hidden_layers", 32);
  const std::int64_t num_experts = config.size(experts_key, default_experts);
  const std::int64_t per_token = config.size(experts_per_token_key, default_experts_per_token);
  config.require(num_experts <= kMostExperts / num_layers, experts_key,
                 "the model configuration asks for too many experts");
  config.require(per_token <= num_experts, experts_per_token_key,
                 "a token cannot go to more experts than there are");
  const std::int64_t width = expert.up.in_features;
  return {.name = std::move(name),
          .class_name = std::move(class_name),
          .router = {"gate", width, num_experts},
          .experts_name = "experts",
          .num_experts = num_experts,
          .num_experts_per_token = per_token,
          .expert = std::move(expert)};
}

namespace {

// Experts are chosen within the best groups, each as good as so many of its best experts together.
void set_groups(const Config& config, nn::MoeSpec& moe, const DeepseekMoeDefaults& defaults,
                std::int64_t experts_per_score) {
  moe.num_groups = config.size("n_group", defaults.n_group);
  moe.groups_per_token = config.size("topk_group", defaults.topk_group);
  moe.experts_per_group_score = experts_per_score;
  config.require(moe.num_experts % moe.num_groups == 0, "n_group",
                 "the experts cannot be divided into so many groups");
  const std::int64_t size = moe.num_experts / moe.num_groups;
  config.require(
      moe.groups_per_token <= moe.num_groups && moe.groups_per_token * size >= moe.num_experts_per_token,
      "topk_group", "so many groups do not have the experts of a token");
  config.require(moe.num_groups == 1 || size >= experts_per_score, "n_group",
                 "the groups of experts are too small");
}

nn::MoeSpec with_shared_experts(const Config& config, const nn::MlpSpec& dense,
                                const DeepseekMoeDefaults& defaults) {
  const std::int64_t hidden_size = dense.up.in_features;
  const std::int64_t width = config.size("moe_intermediate_size", defaults.moe_intermediate_size);
  const std::string expert_class(defaults.expert_class_name);
  nn::MoeSpec moe = mixture(config, "mlp", std::string(defaults.class_name),
                            gated_mlp("", expert_class, dense.activation, hidden_size, width),
                            config.spelling({"n_routed_experts", "num_local_experts", "num_experts"}),
                            defaults.n_routed_experts, defaults.num_experts_per_tok);
  moe.routed_scale =
      static_cast<float>(config.number("routed_scaling_factor", defaults.routed_scaling_factor));
  // An explicit null means none.
  const std::int64_t shared =
      config.mentions("n_shared_experts") ? config.integer("n_shared_experts", 0) : defaults.n_shared_experts;
  config.require(shared >= 0 && shared <= 1024, "n_shared_experts",
                 "the number of shared experts is nonsense");
  if (shared == 0) return moe;
  moe.shared_expert =
      gated_mlp("shared_experts", expert_class, dense.activation, hidden_size, width * shared);
  set_mlp_bias(*moe.shared_expert, dense.up.bias);
  return moe;
}

}  // namespace

nn::MoeSpec deepseek_v2_mixture(const Config& config, const nn::MlpSpec& dense,
                                const DeepseekMoeDefaults& defaults) {
  nn::MoeSpec moe = with_shared_experts(config, dense, defaults);
  moe.normalize_top_k = false;
  const std::string method = config.text("topk_method", "greedy");
  config.require(method == "greedy" || method == "group_limited_greedy", "topk_method",
                 "the way to choose experts is not known");
  if (method == "group_limited_greedy") set_groups(config, moe, defaults, 1);
  return moe;
}

nn::MoeSpec deepseek_v3_mixture(const Config& config, const nn::MlpSpec& dense,
                                const DeepseekMoeDefaults& defaults) {
  nn::MoeSpec moe = with_shared_experts(config, dense, defaults);
  moe.score = nn::RouterScore::kSigmoid;
  moe.choice_bias = "gate.e_score_correction_bias";
  moe.normalize_top_k = config.flag("norm_topk_prob", defaults.norm_topk_prob);
  set_groups(config, moe, defaults, 2);
  return moe;
}

void ignore_further_layers(const Config& config, nn::ModelSpec& model) {
  constexpr std::int64_t kMost = 16;
  const auto first = static_cast<std::int64_t>(model.decoder.blocks.size());
  const std::int64_t count =
      config.integer(config.spelling({"num_nextn_predict_layers", "num_mtp_layers"}), 1);
  for (std::int64_t i = first; i < first + std::min(count, kMost); ++i)
    model.ignored_tensors.push_back("model\\.layers\\." + std::to_string(i) + "\\..*");
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
