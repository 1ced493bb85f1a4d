#include "models/walk.h"

#include "nn/names.h"

namespace farthing::models {
namespace {

using nn::join;

class Walk {
 public:
  Walk(const std::string& architecture, SpecVisitor& visitor) : visitor_(visitor) {
    root_.parents.emplace_back("", architecture);
  }

  void vision(const nn::VisionSpec& vision) {
    const Place place = below(root_, vision.path, vision.class_name, Role::kVision);
    const std::string patches = join(vision.path, vision.patch_embedding);
    visitor_.parameter(patches + ".weight", vision.patch_shape());
    if (vision.patch_bias) visitor_.parameter(patches + ".bias", {vision.hidden_size});
    if (!vision.class_embedding.empty())
      visitor_.parameter(join(vision.path, vision.class_embedding), vision.class_embedding_shape());
    if (!vision.position_embedding.empty()) {
      if (vision.embedding_form != nn::EmbeddingForm::kTable) {
        visitor_.parameter(vision.position_embedding_name(), vision.position_embedding_shape());
      } else {
        visitor_.table(join(vision.path, vision.position_embedding), vision.position_embedding_shape());
      }
    }
    norm(vision.pre_norm, vision.path);
    blocks(vision.blocks, join(vision.path, vision.layers), place);
    norm(vision.post_norm, vision.path);
    if (vision.tiling) tiling(*vision.tiling, vision, place);
  }

  void audio(const nn::AudioSpec& audio) {
    const Place place = below(root_, audio.path, audio.class_name, Role::kAudio);
    std::int64_t inputs = audio.num_mel_bins;
    for (const char* name : {"conv1", "conv2"}) {
      const std::string path = join(audio.path, name);
      visitor_.parameter(path + ".weight", {audio.hidden_size, inputs, 3});
      visitor_.parameter(path + ".bias", {audio.hidden_size});
      inputs = audio.hidden_size;
    }
    visitor_.table(join(audio.path, "embed_positions"), {audio.max_positions, audio.hidden_size});
    blocks(audio.blocks, join(audio.path, "layers"), place);
    norm(audio.post_norm, audio.path);
  }

  void projector(const nn::ProjectorSpec& projector) {
    const Place place = below(root_, projector.path, projector.class_name, Role::kProjector);
    norm(projector.norm, projector.path);
    if (projector.merged_linear) group({&*projector.merged_linear}, projector.path, place);
    norm(projector.merged_norm, projector.path);
    for (const nn::LinearSpec& linear : projector.linears) group({&linear}, projector.path, place);
  }

  void tile_map(const nn::TileMapSpec& map, std::int64_t hidden_size) {
    visitor_.parameter(map.newline, {hidden_size});
  }

  void decoder(const nn::DecoderSpec& decoder) {
    const Place place = below(root_, decoder.path, decoder.class_name, Role::kText);
    visitor_.table(join(decoder.path, decoder.embed_tokens),
                   {decoder.embedding_rows(), decoder.embedding_width()});
    if (decoder.project_in) group({&*decoder.project_in}, decoder.path, place);
    if (!decoder.embed_positions.empty())
      visitor_.table(join(decoder.path, decoder.embed_positions),
                     {decoder.max_position_embeddings + decoder.position_offset, decoder.hidden_size});
    norm(decoder.embedding_norm, decoder.path);
    blocks(decoder.blocks, join(decoder.path, decoder.layers), place);
    norm(decoder.final_norm, decoder.path);
    if (decoder.project_out) group({&*decoder.project_out}, decoder.path, place);
    const nn::LinearSpec head = decoder.head();
    Place head_place = root_;
    head_place.role = Role::kHead;
    group({&head}, "", head_place);
  }

 private:
  void tiling(const nn::TilingSpec& tiling, const nn::VisionSpec& vision, const Place& place) {
    const std::int64_t width = tiling.max_tiles * vision.hidden_size;
    for (const std::string& name : {tiling.before, tiling.after}) {
      const std::string path = join(vision.path, name);
      visitor_.table(join(path, "embedding"), {tiling.aspect_ratios, width});
      visitor_.parameter(join(path, "gate"), {1});
    }
    const std::string path = join(vision.path, tiling.positions);
    visitor_.parameter(join(path, "embedding"), {vision.num_positions(), vision.hidden_size});
    visitor_.table(join(path, "tile_embedding"), {tiling.aspect_ratios, vision.num_positions() * width});
    visitor_.parameter(join(path, "gate"), {1});
    blocks(tiling.global_blocks, join(vision.path, tiling.global_layers), place);
  }

  static Place below(Place place, const std::string& path, const std::string& class_name, Role role) {
    place.role = role;
    place.parents.emplace_back(path, class_name);
    return place;
  }

  /// Linears that share an input.
  void group(const std::vector<const nn::LinearSpec*>& linears, const std::string& parent,
             const Place& place) {
    const std::string name = join(parent, linears.front()->name);
    for (const nn::LinearSpec* linear : linears) {
      const std::string path = join(parent, linear->name);
      if (linear->bare) {
        visitor_.parameter(path, {linear->in_features, linear->out_features});
      } else {
        visitor_.linear(*linear, path, name, place);
      }
    }
  }

  void norm(const nn::NormSpec& norm, const std::string& parent) {
    if (norm) visitor_.norm(norm, join(parent, norm.name), {norm.size});
  }

  void blocks(const std::vector<nn::BlockSpec>& blocks, const std::string& path, const Place& place) {
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const std::string block_path = join(path, static_cast<std::int64_t>(i));
      Place block_place = below(place, block_path, blocks[i].class_name, place.role);
      if (place.role == Role::kText) block_place.block = static_cast<std::int64_t>(i);
      if (place.role == Role::kAudio) block_place.audio_block = static_cast<std::int64_t>(i);
      block(blocks[i], block_path, block_place);
    }
  }

  void block(const nn::BlockSpec& block, const std::string& path, const Place& place) {
    norm(block.attention_norm, path);
    attention(block.attention, path, place);
    norm(block.attention_output_norm, path);
    norm(block.cross_attention_norm, path);
    if (block.cross_attention) attention(*block.cross_attention, path, place);
    for (const nn::BranchScale& scale : {block.attention_scale, block.mlp_scale})
      if (scale) visitor_.parameter(join(path, scale.name), {scale.size});
    norm(block.mlp_norm, path);
    if (block.moe) {
      experts(*block.moe, path, place);
    } else {
      const std::string mlp_path = join(path, block.mlp.name);
      mlp(block.mlp, mlp_path,
          block.mlp.name.empty() ? place : below(place, mlp_path, block.mlp.class_name, place.role));
    }
    norm(block.mlp_output_norm, path);
  }

  void attention(const nn::AttentionSpec& attention, const std::string& parent, const Place& place) {
    const std::string path = join(parent, attention.name);
    const Place inner = below(place, path, attention.class_name, place.role);
    std::vector<const nn::LinearSpec*> inputs;
    for (const nn::LinearSpec& input : attention.inputs) inputs.push_back(&input);
    if (attention.cross) {  // queries read the text, keys and values the pictures
      group({inputs.front()}, path, inner);
      inputs.erase(inputs.begin());
    }
    group(inputs, path, inner);
    if (attention.latent) latent(*attention.latent, path, inner);
    if (!attention.sinks.empty()) visitor_.parameter(join(path, attention.sinks), {attention.num_heads});
    head_norm(attention.query_norm, path, attention, attention.num_heads);
    head_norm(attention.key_norm, path, attention, attention.num_key_value_heads);
    group({&attention.output}, path, inner);
  }

  void head_norm(const nn::NormSpec& norm, const std::string& path, const nn::AttentionSpec& attention,
                 std::int64_t num_heads) {
    if (!norm) return;
    const std::string norm_path = join(path, norm.name);
    switch (attention.head_norm_weights) {
      case nn::HeadNormWeights::kShared:
        return visitor_.norm(norm, norm_path, {norm.size});
      case nn::HeadNormWeights::kMatrix:
        return visitor_.norm(norm, norm_path, {num_heads, norm.size});
      case nn::HeadNormWeights::kModules:
        for (std::int64_t head = 0; head < num_heads; ++head)
          visitor_.norm(norm, join(norm_path, head), {norm.size});
    }
  }

  void latent(const nn::LatentSpec& latent, const std::string& path, const Place& place) {
    norm(latent.query_norm, path);
    if (latent.query) group({&*latent.query}, path, place);
    norm(latent.key_value_norm, path);
    group({&latent.key_value}, path, place);
  }

  void mlp(const nn::MlpSpec& mlp, const std::string& path, const Place& place) {
    std::vector<const nn::LinearSpec*> inputs = {&mlp.up};
    if (mlp.gate) inputs.insert(inputs.begin(), &*mlp.gate);
    group(inputs, path, place);
    group({&mlp.down}, path, place);
  }

  void experts(const nn::MoeSpec& moe, const std::string& parent, const Place& place) {
    const std::string path = join(parent, moe.name);
    const Place inner = below(place, path, moe.class_name, place.role);
    group({&moe.router}, path, inner);
    if (!moe.choice_bias.empty())
      visitor_.parameter(join(path, moe.choice_bias),
                         moe.choice_bias_shape.empty() ? Shape{moe.num_experts} : moe.choice_bias_shape);
    for (std::int64_t e = 0; e < moe.num_experts; ++e) {
      const std::string expert = join(join(path, moe.experts_name), e);
      mlp(moe.expert, expert, below(inner, expert, moe.expert.class_name, place.role));
    }
    if (moe.shared_expert) {
      const std::string shared = join(path, moe.shared_expert->name);
      mlp(*moe.shared_expert, shared, below(inner, shared, moe.shared_expert->class_name, place.role));
    }
    if (moe.shared_expert_gate) group({&*moe.shared_expert_gate}, path, inner);
  }

  SpecVisitor& visitor_;
  Place root_;
};

}  // namespace

void walk(const nn::ModelSpec& spec, SpecVisitor& visitor) {
  Walk walk(spec.architecture, visitor);
  if (spec.vision) walk.vision(*spec.vision);
  if (spec.audio) walk.audio(*spec.audio);
  if (spec.projector) walk.projector(*spec.projector);
  for (const nn::ProjectorSpec& projector : spec.deepstack) walk.projector(projector);
  if (spec.tile_map) walk.tile_map(*spec.tile_map, spec.decoder.hidden_size);
  walk.decoder(spec.decoder);
}

}  // namespace farthing::models
