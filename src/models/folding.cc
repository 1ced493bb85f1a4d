// Pairs of layers between which a scale can move without changing the model.
#include "models/family.h"
#include "nn/names.h"

namespace farthing::models {
namespace {

using nn::join;

class FoldingLister {
 public:
  void blocks(const std::vector<nn::BlockSpec>& blocks, const std::string& path) {
    for (std::size_t i = 0; i < blocks.size(); ++i)
      block(blocks[i], join(path, static_cast<std::int64_t>(i)));
  }

  std::vector<FoldingPair> pairs;

 private:
  void block(const nn::BlockSpec& block, const std::string& path) {
    std::vector<std::string> attention_inputs;
    for (const nn::LinearSpec& input : block.attention.inputs)
      attention_inputs.push_back(join(join(path, block.attention.name), input.name));
    if (block.attention.cross) attention_inputs.resize(1);  // the others read pictures
    std::vector<std::string> mlp_inputs = feed_forward_inputs(block, path);

    const bool one_norm = block.residual == nn::Residual::kParallel && !block.mlp_norm;
    if (one_norm) attention_inputs.insert(attention_inputs.end(), mlp_inputs.begin(), mlp_inputs.end());
    // Where the residual stream carries the norm's output too, no scale may move out of it.
    const bool foldable =
        block.residual != nn::Residual::kPostNorm && block.residual != nn::Residual::kNormed;
    if (foldable) norm(block.attention_norm, path, std::move(attention_inputs));
    if (block.attention.latent) latents(*block.attention.latent, join(path, block.attention.name));
    values(block.attention, join(path, block.attention.name));
    if (block.cross_attention) {
      const std::string cross_path = join(path, block.cross_attention->name);
      if (foldable)
        norm(block.cross_attention_norm, path, {join(cross_path, block.cross_attention->inputs[0].name)});
      values(*block.cross_attention, cross_path);
    }
    if (foldable && !one_norm) norm(block.mlp_norm, path, std::move(mlp_inputs));
    if (block.moe) {
      experts(*block.moe, join(path, block.moe->name));
    } else {
      mlp(block.mlp, join(path, block.mlp.name));
    }
  }

  static std::vector<std::string> mlp_inputs(const nn::MlpSpec& mlp, const std::string& path) {
    std::vector<std::string> inputs;
    if (mlp.gate) inputs.push_back(join(path, mlp.gate->name));
    inputs.push_back(join(path, mlp.up.name));
    return inputs;
  }

  static std::vector<std::string> feed_forward_inputs(const nn::BlockSpec& block, const std::string& path) {
    if (!block.moe) return mlp_inputs(block.mlp, join(path, block.mlp.name));
    const nn::MoeSpec& moe = *block.moe;
    const std::string moe_path = join(path, moe.name);
    std::vector<std::string> inputs = {join(moe_path, moe.router.name)};
    const auto add = [&](const std::vector<std::string>& more) {
      inputs.insert(inputs.end(), more.begin(), more.end());
    };
    for (std::int64_t e = 0; e < moe.num_experts; ++e)
      add(mlp_inputs(moe.expert, join(join(moe_path, moe.experts_name), e)));
    if (moe.shared_expert) add(mlp_inputs(*moe.shared_expert, join(moe_path, moe.shared_expert->name)));
    if (moe.shared_expert_gate) inputs.push_back(join(moe_path, moe.shared_expert_gate->name));
    return inputs;
  }

  void norm(const nn::NormSpec& norm, const std::string& path, std::vector<std::string> balance) {
    if (norm && norm.weight) pairs.push_back({join(path, norm.name), std::move(balance), norm.weight_offset});
  }

  void latents(const nn::LatentSpec& latent, const std::string& path) {
    if (latent.query) norm(latent.query_norm, path, {join(path, latent.query->name)});
    norm(latent.key_value_norm, path, {join(path, latent.key_value.name)});
  }

  // Every value channel reaches the output once, unless several heads share it.
  void values(const nn::AttentionSpec& attention, const std::string& path) {
    const bool values_last =
        attention.layout == nn::QkvLayout::kSeparate || attention.layout == nn::QkvLayout::kConcatenated;
    // The values of latent attention lie between keys, and what is cut off at a limit does not scale.
    const bool passes = !attention.latent && attention.projection_limit == 0.0f;
    if (values_last && passes && attention.num_heads == attention.num_key_value_heads)
      pairs.push_back({join(path, attention.inputs.back().name), {join(path, attention.output.name)}});
  }

  // Through the product with the gate, or through ReLU, a positive factor passes unchanged.
  void mlp(const nn::MlpSpec& mlp, const std::string& path) {
    if (mlp.limit != 0.0f || mlp.up_offset != 0.0f) return;
    if (mlp.gate || mlp.fused_gate_up || mlp.activation == nn::Activation::kRelu)
      pairs.push_back({join(path, mlp.up.name), {join(path, mlp.down.name)}});
  }

  void experts(const nn::MoeSpec& moe, const std::string& path) {
    for (std::int64_t e = 0; e < moe.num_experts; ++e) mlp(moe.expert, join(join(path, moe.experts_name), e));
    if (moe.shared_expert) mlp(*moe.shared_expert, join(path, moe.shared_expert->name));
  }
};

}  // namespace

std::vector<FoldingPair> folding_pairs_of(const nn::ModelSpec& spec) {
  FoldingLister lister;
  if (spec.vision) lister.blocks(spec.vision->blocks, join(spec.vision->path, spec.vision->layers));
  if (spec.audio) lister.blocks(spec.audio->blocks, join(spec.audio->path, "layers"));
  lister.blocks(spec.decoder.blocks, join(spec.decoder.path, spec.decoder.layers));
  return std::move(lister.pairs);
}

}  // namespace farthing::models
