// The words in which a family is declared. A declaration is plain data: module names exactly as the Hugging
// Face checkpoint has them, sizes, and how the parts are wired. Loading, the forward pass, calibration
// groups, scale-folding pairs, roles, sequential targets, inspect and estimate are all read from it. See
// models/llama.cc for the shortest example.
//
// Letters: T tokens, H hidden_size, I intermediate_size, V vocab_size, D head_dim.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/elementwise.h"

namespace farthing::nn {

using kernels::Activation;
using kernels::RotaryStyle;

/// y = x W^T + b. `name` is relative to the parent module; the tensors are NAME.weight [out, in] and
/// NAME.bias [out].
struct LinearSpec {
  std::string name;
  std::int64_t in_features = 0;
  std::int64_t out_features = 0;
  bool bias = false;
  bool transposed = false;  // stored [in, out] (GPT-2's Conv1D)
};

struct NormSpec {
  enum class Kind { kNone, kRms, kLayer };
  Kind kind = Kind::kNone;
  std::string name;
  std::int64_t size = 0;
  float eps = 1e-5f;
  bool weight = true;
  bool bias = false;
  float weight_offset = 0.0f;  // 1 for Gemma: files store the distance from 1

  explicit operator bool() const { return kind != Kind::kNone; }
};

/// Rotary position embedding and its length extensions; the rules are in models-and-tokenizers 0.4.
struct RopeSpec {
  enum class Scaling { kNone, kLinear, kDynamic, kYarn, kLlama3, kLongRope };
  double theta = 10000.0;
  std::int64_t rotary_dim = 0;  // 0: the whole head
  RotaryStyle style = RotaryStyle::kHalves;
  Scaling scaling = Scaling::kNone;
  double factor = 1.0;
  std::int64_t max_position_embeddings = 0;
  std::int64_t original_max_position_embeddings = 0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3
  double beta_fast = 32.0, beta_slow = 1.0;              // yarn
  bool truncate = true;                                  // yarn
  std::optional<double> attention_factor, mscale, mscale_all_dim;
  std::vector<double> short_factor, long_factor;  // longrope
  std::vector<std::int64_t> mrope_section;        // Qwen-VL: pairs per axis (time, row, column)

  bool operator==(const RopeSpec&) const = default;
};

/// How the rows of a fused query-key-value product are laid out.
enum class QkvLayout {
  kSeparate,      // three linears: q, k, v
  kConcatenated,  // all q rows, then all k, then all v
  kPerHead,       // [heads, (q, k, v), D]: GPT-NeoX, Bloom
  kPerGroup,      // [kv heads, (the group's q heads, k, v), D]: Falcon's new architecture
};

struct AttentionSpec {
  std::string name;        // "self_attn"
  std::string class_name;  // "LlamaAttention"
  std::int64_t num_heads = 0;
  std::int64_t num_key_value_heads = 0;
  std::int64_t head_dim = 0;
  QkvLayout layout = QkvLayout::kSeparate;
  std::vector<LinearSpec> inputs;  // q, k, v, or the fused one: they share their input
  LinearSpec output;
  NormSpec query_norm, key_norm;      // per head, before the rotation (Qwen3, Gemma 3)
  bool norm_per_head_weight = false;  // the norms' weights are [heads, D], a row per head (Cohere)
  std::optional<RopeSpec> rope;
  float scale = 0.0f;  // 0: D^-1/2
  float softcap = 0.0f;
  std::int64_t sliding_window = 0;  // 0: none; else a query sees that many keys, itself included
  bool causal = true;
  float alibi_scale = 0.0f;  // 0: no ALiBi; else the factor of its slopes (1 for Bloom, D^-1/2 for Falcon)
};

/// down(f(gate(x)) * up(x)), or down(f(up(x))) when there is no gate.
struct MlpSpec {
  std::string name;  // "mlp"; empty when the linears are children of the block itself (OPT)
  std::string class_name;
  Activation activation = Activation::kSilu;
  std::optional<LinearSpec> gate;
  LinearSpec up;  // with `fused_gate_up`: [2I, H], first the gate's rows
  LinearSpec down;
  bool fused_gate_up = false;
};

/// A router and experts, each an MlpSpec of its own.
struct MoeSpec {
  std::string name;  // "block_sparse_moe"
  std::string class_name;
  LinearSpec router;
  std::string experts_name;  // "experts": expert e is NAME.EXPERTS.e
  std::int64_t num_experts = 0;
  std::int64_t num_experts_per_token = 0;
  bool normalize_top_k = true;
  MlpSpec expert;  // its `name` is unused
  std::optional<MlpSpec> shared_expert;
  std::optional<LinearSpec> shared_expert_gate;  // sigmoid of it scales the shared expert (Qwen2-MoE)
};

/// How a block adds its two branches to the residual stream.
enum class Residual {
  kPreNorm,   // h += attention(norm1(h)); h += mlp(norm2(h))
  kPostNorm,  // h = norm1(h + attention(h)); h = norm2(h + mlp(h)): opt-350m
  kParallel,  // h += attention(norm1(h)) + mlp(norm2(h)), norm2 = norm1 when it has no name of its own
};

struct BlockSpec {
  std::string class_name;  // "LlamaDecoderLayer"
  Residual residual = Residual::kPreNorm;
  NormSpec attention_norm;
  AttentionSpec attention;
  NormSpec attention_output_norm;  // on the branch, before it is added (Gemma 2, 3)
  NormSpec mlp_norm;
  MlpSpec mlp;
  std::optional<MoeSpec> moe;  // instead of `mlp`
  NormSpec mlp_output_norm;
  float residual_scale = 1.0f;  // factor of each branch (Granite)
};

/// Token embedding, blocks, final norm, head.
struct DecoderSpec {
  std::string path;        // canonical module path, "model" or "model.language_model"
  std::string class_name;  // "LlamaModel"
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t max_position_embeddings = 0;
  std::string embed_tokens = "embed_tokens";  // NAME.weight [V, embedding size]
  std::int64_t embedding_size = 0;            // 0: hidden_size
  float embedding_scale = 1.0f;               // Gemma: sqrt(H)
  bool round_embedding_scale = false;         // ... rounded to the dtype of the embedding weight first
  NormSpec embedding_norm;                    // Bloom
  std::string embed_positions;                // learned absolute positions; empty when there are none
  std::int64_t position_offset = 0;           // 2 for OPT
  std::optional<LinearSpec> project_in, project_out;
  std::string layers = "layers";  // block i is PATH.LAYERS.i
  std::vector<BlockSpec> blocks;
  NormSpec final_norm;
  std::string lm_head = "lm_head";  // canonical path of the head
  bool lm_head_bias = false;
  bool tie_word_embeddings = false;
  float logit_scale = 1.0f;
  float logit_softcap = 0.0f;

  /// Columns of the embedding, and of what the head reads.
  std::int64_t embedding_width() const { return embedding_size == 0 ? hidden_size : embedding_size; }
  /// The head as a linear; its name is a canonical path.
  LinearSpec head() const { return {lm_head, embedding_width(), vocab_size, lm_head_bias}; }
};

/// A tower of encoder blocks over picture patches (CLIP, SigLIP).
struct VisionSpec {
  std::string path;        // canonical, "model.vision_tower"
  std::string class_name;  // "CLIPVisionModel"
  std::string model_type;  // "clip_vision_model"
  std::int64_t hidden_size = 0, num_channels = 3, image_size = 0, patch_size = 0;
  std::string patch_embedding;  // NAME.weight [H, C, p, p]
  bool patch_bias = false;
  std::string class_embedding;     // [H]; empty when there is none
  std::string position_embedding;  // NAME.weight [patches + 1, H]
  NormSpec pre_norm;
  std::string layers = "encoder.layers";
  std::vector<BlockSpec> blocks;
  NormSpec post_norm;  // only where the model uses it for the features
  std::vector<std::int64_t>
      feature_layers;  // indices into hidden states 0 .. L; negative from the end; several are concatenated
  bool drop_class_token = true;

  /// Tokens of one picture inside the tower: the class token, if there is one, and the patches.
  std::int64_t num_positions() const {
    return (image_size / patch_size) * (image_size / patch_size) + (class_embedding.empty() ? 0 : 1);
  }
  /// A feature layer counted from 0.
  std::int64_t hidden_state_index(std::int64_t layer) const {
    return layer < 0 ? static_cast<std::int64_t>(blocks.size()) + 1 + layer : layer;
  }
};

/// From picture features to embeddings of the decoder: linear, activation, linear (LLaVA).
struct ProjectorSpec {
  std::string path;        // "model.multi_modal_projector"
  std::string class_name;  // "LlavaMultiModalProjector"
  std::vector<LinearSpec> linears;
  Activation activation = Activation::kGelu;
};

/// One spelling of names turned into the canonical one: the prefix `from` becomes `to`. An empty `from` fits
/// every name.
struct NameRule {
  std::string from;
  std::string to;
};

struct ModelSpec {
  std::string family;        // registry name, "llava"
  std::string architecture;  // "LlavaForConditionalGeneration"
  DecoderSpec decoder;
  std::optional<VisionSpec> vision;
  std::optional<ProjectorSpec> projector;
  std::int64_t image_token_id = -1;
  std::vector<NameRule>
      names;  // tried in order on every name in the file; the first prefix that fits is replaced
  std::vector<std::string> ignored_tensors;  // regexes of leftovers in old files: inv_freq, masks
  std::vector<std::string> default_ignore;   // what quantize leaves alone unless told otherwise
  std::vector<std::string> sequential_targets;
};

}  // namespace farthing::nn
