// The words in which a family is declared. A declaration is plain data: module names exactly as the Hugging
// Face checkpoint has them, sizes, and how the parts are wired. Loading, the forward pass, calibration
// groups, scale-folding pairs, roles, sequential targets, inspect and estimate are all read from it. See
// models/llama.cc for the shortest example.
//
// Letters: T tokens, H hidden_size, I intermediate_size, V vocab_size, D head_dim.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/elementwise.h"
#include "tensor/tensor.h"

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
  bool bare = false;  // a parameter of its parent, called `name` itself, and no module (Gemma 3's projector)
};

struct NormSpec {
  enum class Kind { kNone, kRms, kLayer };
  Kind kind = Kind::kNone;
  std::string name;
  std::int64_t size = 0;
  float eps = 1e-5f;
  bool weight = true;
  bool bias = false;
  float weight_offset = 0.0f;  // 1 for Gemma and Nemotron: files store the distance from 1

  explicit operator bool() const { return kind != Kind::kNone; }
};

/// Which frequencies the pairs of each axis take, where a position has several.
enum class AxisFrequencies {
  kShared,       // pair j the j-th of all, whatever its axis: Qwen-VL's text
  kRestarted,    // every axis its own, over its part of the head: Qwen-VL's tower
  kAlternating,  // pair k of axis a the (k * axes + a)-th of all: Pixtral's tower
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
  /// Positions of several axes (time, row, column; or row, column): pairs of elements that each axis turns,
  /// axis after axis. Empty: one axis.
  std::vector<std::int64_t> axis_sections;
  AxisFrequencies axis_frequencies = AxisFrequencies::kShared;
  bool interleaved_axes = false;  // axes take turns, until the sections of all but the first are used up

  bool operator==(const RopeSpec&) const = default;
};

/// How the rows of a fused query-key-value product are laid out.
enum class QkvLayout {
  kSeparate,      // three linears: q, k, v
  kConcatenated,  // all q rows, then all k, then all v
  kPerHead,       // [heads, (q, k, v), D]: GPT-NeoX, Bloom
  kPerGroup,      // [kv heads, (the group's q heads, k, v), D]: Falcon's new architecture
};

/// Weights of the norms of queries and keys.
enum class HeadNormWeights {
  kShared,   // one for all heads, or one for all of them together
  kMatrix,   // a row per head in one tensor [heads, D] (Cohere)
  kModules,  // a module per head, NAME.0, NAME.1 ... (StableLM)
};

/// Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434): queries (with `query` declared) and keys with
/// values come from narrow latents. Of AttentionSpec::inputs the first is then the query, or its latent; the
/// second the latent of keys and values [L + R, H], whose last R outputs are the rotated part of every key.
/// A head is N elements without rotation, then R rotated ones; head_dim = N + R.
struct LatentSpec {
  std::int64_t rank = 0;            // L
  std::int64_t plain_dim = 0;       // N
  NormSpec query_norm;              // of the query's latent
  std::optional<LinearSpec> query;  // from it: [heads * (N + R), query rank]
  NormSpec key_value_norm;          // of the first L
  LinearSpec key_value;             // from them: per head its N of the key, then its value
};

/// Queries grow with their position p by 1 + scale * ln(1 + floor((p + offset) / length)) (arXiv 2501.19399).
struct QueryGrowth {
  double scale = 0.1;
  double length = 8192;
  double offset = 1;
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
  NormSpec query_norm, key_norm;  // per head or, by their size, over all heads (OLMo 2); before the rotation
  HeadNormWeights head_norm_weights = HeadNormWeights::kShared;
  bool norm_after_rotation = false;
  float projection_limit = 0.0f;  // q, k and v are cut to [-limit, limit] (OLMo's clip_qkv); 0: they are not
  std::optional<LatentSpec> latent;
  std::int64_t value_head_dim = 0;  // 0: head_dim
  std::optional<RopeSpec> rope;
  float scale = 0.0f;  // 0: D^-1/2
  std::optional<QueryGrowth> query_growth;
  std::string sinks;  // a parameter NAME [heads] of scores that lead to no value (gpt-oss); empty: none
  float softcap = 0.0f;
  std::int64_t sliding_window = 0;  // 0: none; else a query sees that many keys, itself included
  std::int64_t chunk = 0;           // 0: none; else a query sees keys of its own run of that many positions
  bool causal = true;
  bool cross = false;  // keys and values come from the states of pictures (Mllama) or sounds (Whisper)
  bool two_way_spans = false;  // rows of Batch::spans see each other both ways: Gemma 3's pictures
  bool windowed = false;       // in a tower: rows see those of their window only (Qwen 2.5-VL)
  float alibi_scale = 0.0f;    // 0: no ALiBi; else the factor of its slopes (1 for Bloom, D^-1/2 for Falcon)

  std::int64_t value_dim() const { return value_head_dim == 0 ? head_dim : value_head_dim; }
  std::int64_t key_width() const { return num_key_value_heads * head_dim; }
  std::int64_t value_width() const { return num_key_value_heads * value_dim(); }
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
  float limit = 0.0f;      // 0: none; else gate is cut to at most, up to [-limit, limit] of it (gpt-oss)
  float up_offset = 0.0f;  // added to up
};

/// What turns a router's logits into scores.
enum class RouterScore { kSoftmax, kSigmoid };

/// How files keep the linears of all experts of a layer in one tensor each, beside the form with an expert
/// per tensor, which every family has too: GATE_UP [experts, 2I, H] and DOWN [experts, H, I] below the
/// mixture; biases, where experts have them, under the same names with "_bias".
struct FusedExperts {
  std::string gate_up = "experts.gate_up_proj";
  std::string down = "experts.down_proj";
  bool transposed = false;   // [experts, in, out]
  bool any_order = false;    // either, as the shape in the file tells (Qwen 3-VL MoE)
  bool interleaved = false;  // gate and up take turns; else gate comes first
};

/// A router and experts, each an MlpSpec of its own.
struct MoeSpec {
  std::string name;  // "block_sparse_moe"
  std::string class_name;
  LinearSpec router;
  std::string experts_name;  // "experts": expert e is NAME.EXPERTS.e
  std::int64_t num_experts = 0;
  std::int64_t num_experts_per_token = 0;
  RouterScore score = RouterScore::kSoftmax;
  std::string choice_bias;  // a parameter NAME [experts], added to scores for the choice only; empty: none
  Shape choice_bias_shape;  // of that tensor in the file; empty: [experts]
  std::int64_t num_groups = 1;  // of experts that follow each other: only the best groups are chosen from
  std::int64_t groups_per_token = 1;
  std::int64_t experts_per_group_score = 1;  // a group is as good as so many of its best experts together
  bool normalize_top_k = true;
  float routed_scale = 1.0f;   // of the weights of the chosen, at the end
  bool scales_inputs = false;  // the weight multiplies what an expert reads, not what it answers (Llama 4)
  MlpSpec expert;              // its `name` is unused
  FusedExperts fused;
  std::optional<MlpSpec> shared_expert;
  std::optional<LinearSpec> shared_expert_gate;  // sigmoid of it scales the shared expert (Qwen2-MoE)
};

/// How a block adds its two branches to the residual stream.
enum class Residual {
  kPreNorm,   // h += attention(norm1(h)); h += mlp(norm2(h))
  kPostNorm,  // h = norm1(h + attention(h)); h = norm2(h + mlp(h)): opt-350m
  kNormed,    // h = norm1(h); h += attention(h); h = norm2(h); h += mlp(h): a variant of Bloom
  kParallel,  // h += attention(norm1(h)) + mlp(norm2(h)), norm2 = norm1 when it has no name of its own
};

/// A learned factor of a branch before it is added: a parameter NAME [size], 1 for all channels or one each.
struct BranchScale {
  std::string name;
  std::int64_t size = 1;
  bool tanh = false;  // of the parameter (Mllama's gates); else the parameter itself (layer scale)

  explicit operator bool() const { return !name.empty(); }
};

struct BlockSpec {
  std::string class_name;  // "LlamaDecoderLayer"
  Residual residual = Residual::kPreNorm;
  NormSpec attention_norm;
  AttentionSpec attention;
  NormSpec attention_output_norm;  // on the branch, before it is added (Gemma 2, 3)
  BranchScale attention_scale, mlp_scale;
  /// A second attention, to the states of a sound, between the two branches (Whisper's decoder).
  NormSpec cross_attention_norm;
  std::optional<AttentionSpec> cross_attention;
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
  std::string embed_tokens = "embed_tokens";  // NAME.weight [V + extra, embedding size]
  std::int64_t extra_tokens = 0;              // that have an embedding and no logit (Mllama)
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
  std::int64_t embedding_rows() const { return vocab_size + extra_tokens; }
  /// True where some blocks read pictures themselves, so that none of their features stands in the prompt.
  bool reads_pictures() const {
    return std::any_of(blocks.begin(), blocks.end(),
                       [](const BlockSpec& block) { return block.attention.cross; });
  }
  /// True where every block attends to the states of a sound.
  bool reads_sounds() const {
    return std::any_of(blocks.begin(), blocks.end(),
                       [](const BlockSpec& block) { return block.cross_attention.has_value(); });
  }
  /// Axes of a position: 1, or time, row and column where some attention turns by all of them.
  std::int64_t position_axes() const {
    for (const BlockSpec& block : blocks)
      if (block.attention.rope && !block.attention.rope->axis_sections.empty())
        return static_cast<std::int64_t>(block.attention.rope->axis_sections.size());
    return 1;
  }
  /// The head as a linear; its name is a canonical path.
  LinearSpec head() const { return {lm_head, embedding_width(), vocab_size, lm_head_bias}; }
};

/// How the processor's pixel_values come to the tower.
enum class PictureInput {
  kViews,    // [..., C, S, S]: every view (a picture, a tile, a crop) has the tower's own size
  kAnySize,  // [pictures, C, H, W], padded to the largest, with image_sizes [pictures, 2]: Pixtral
  kPatches,  // [patches, C * t * p * p] with image_grid_thw [pictures, 3]: Qwen-VL
};

/// How a tower's class token and learned positions lie in the file.
enum class EmbeddingForm {
  kTable,          // positions NAME.weight [positions, H], class token NAME [H]: CLIP
  kBare,           // both parameters without ".weight": Llama 4
  kBareWithBatch,  // the same with an axis of one before them: [1, positions, H], [1, 1, H]: InternVL
};

/// What a tower adds that sees the tiles of a picture together, with places for those that the picture lacks
/// (Mllama): embeddings of the tiles by the picture's aspect ratio, and blocks over all of it at the end.
struct TilingSpec {
  std::int64_t max_tiles = 4;
  std::int64_t aspect_ratios = 9;  // ids of the processor, 0 for none
  std::string before, after;       // NAME.embedding.weight [ratios, tiles * H] and NAME.gate, added to tiles
  std::string positions;  // NAME.embedding [T, H], NAME.tile_embedding.weight [ratios, tiles * T * H]
  std::int64_t token_multiple = 8;  // the tokens of a tile are padded with zeros to a multiple of that
  std::string global_layers;
  std::vector<BlockSpec> global_blocks;
};

/// A tower of encoder blocks over picture patches: CLIP, SigLIP and towers of the models' own.
struct VisionSpec {
  std::string path;        // canonical, "model.vision_tower"
  std::string class_name;  // "CLIPVisionModel"
  std::string model_type;  // "clip_vision_model"
  PictureInput input = PictureInput::kViews;
  bool drop_blank_views = false;  // views of zeros only are padding (Idefics 3)
  std::int64_t hidden_size = 0, num_channels = 3, image_size = 0, patch_size = 0;
  std::int64_t temporal_patch_size = 0;  // 0: pictures have no time axis, the weight is [H, C, p, p]
  std::string patch_embedding;           // NAME.weight [H, C, (t,) p, p]
  bool patch_bias = false;
  bool flat_patches = false;    // that weight is a linear's, [H, C * p * p] (Llama 4)
  std::string class_embedding;  // empty when there is none
  bool class_token_last = false;
  std::string position_embedding;  // of the patches and the class token; empty where only rotation tells them
  EmbeddingForm embedding_form = EmbeddingForm::kTable;
  bool interpolate_positions = false;  // the square table is stretched over any grid (Qwen 3-VL)
  bool column_first = false;   // axes of a rotated position: column, row instead of row, column (Llama 4)
  std::int64_t first_row = 0;  // ... and where both are counted from; the class token is at 0, 0
  NormSpec pre_norm;
  std::string layers = "encoder.layers";
  std::vector<BlockSpec> blocks;
  std::int64_t patch_block = 1;  // patches come in squares of that side, row by row inside (Qwen-VL)
  std::int64_t window = 0;       // side of the windows of `windowed` attention, in squares of patches
  NormSpec post_norm;            // only where the model uses it for the features
  std::vector<std::int64_t>
      feature_layers;  // indices into hidden states 0 .. L; negative from the end; several are concatenated
  bool drop_class_token = true;
  std::optional<TilingSpec> tiling;  // features: the last state and, interleaved, the feature layers

  /// Tokens of one view inside the tower: the class token, if there is one, and the patches.
  std::int64_t num_positions() const {
    return (image_size / patch_size) * (image_size / patch_size) + (class_embedding.empty() ? 0 : 1);
  }
  /// Features of one view.
  std::int64_t features_per_view() const {
    return num_positions() - (drop_class_token && !class_embedding.empty() ? 1 : 0);
  }
  /// A feature layer counted from 0.
  std::int64_t hidden_state_index(std::int64_t layer) const {
    return layer < 0 ? static_cast<std::int64_t>(blocks.size()) + 1 + layer : layer;
  }
  std::string position_embedding_name() const {
    return path + "." + position_embedding + (embedding_form == EmbeddingForm::kTable ? ".weight" : "");
  }
  Shape position_embedding_shape() const {
    const Shape shape = {num_positions(), hidden_size};
    return embedding_form == EmbeddingForm::kBareWithBatch ? Shape{1, shape[0], shape[1]} : shape;
  }
  Shape class_embedding_shape() const {
    return embedding_form == EmbeddingForm::kBareWithBatch ? Shape{1, 1, hidden_size} : Shape{hidden_size};
  }
  Shape patch_shape() const {
    if (flat_patches) return {hidden_size, num_channels * patch_size * patch_size};
    if (temporal_patch_size == 0) return {hidden_size, num_channels, patch_size, patch_size};
    return {hidden_size, num_channels, temporal_patch_size, patch_size, patch_size};
  }
};

/// A tower of encoder blocks over the frames of a sound: two convolutions over three frames each, the second
/// of which halves their number (Whisper, Qwen 2-Audio). Names of its parts are Whisper's in every model.
struct AudioSpec {
  std::string path;        // canonical, "model.encoder"
  std::string class_name;  // "WhisperEncoder"
  std::int64_t hidden_size = 0;
  std::int64_t num_mel_bins = 0;
  std::int64_t max_positions = 0;  // after the convolutions
  std::vector<BlockSpec> blocks;
  NormSpec post_norm;
  std::int64_t pool = 1;  // neighbouring states are averaged, so many at a time, before the norm
  bool masked = false;    // frames behind the sound are left out (feature_attention_mask)
};

/// How squares of neighbouring features become one.
enum class PatchMerge {
  kNone,
  kAverage,       // their mean: Gemma 3
  kSpaceToDepth,  // one after the other, row by row: Idefics 3, InternVL ("pixel shuffle")
  kChannelMajor,  // per channel its square: Mistral 3 (im2col)
  kConsecutive,   // rows that come in squares already, one after the other: Qwen-VL
};

/// From picture features to embeddings of the decoder: norm, merging, norm, linears with an activation
/// between them; each part where it is declared.
struct ProjectorSpec {
  std::string path;        // "model.multi_modal_projector"
  std::string class_name;  // "LlavaMultiModalProjector"
  NormSpec norm;           // of every feature
  PatchMerge merge = PatchMerge::kNone;
  std::int64_t merge_size = 1;              // side of the squares
  std::optional<LinearSpec> merged_linear;  // on the merged features, without activation (Mistral 3)
  NormSpec merged_norm;
  std::vector<LinearSpec> linears;
  Activation activation = Activation::kGelu;
};

/// LLaVA-NeXT's order of tiles: the whole view first, then the tiles joined to one map, without what was
/// padded, a newline after every row of it.
struct TileMapSpec {
  std::string newline;                                          // canonical name of a parameter [H]
  std::vector<std::pair<std::int64_t, std::int64_t>> canvases;  // (height, width) to choose from
  std::int64_t most_tiles =
      0;  // a joined map with more features than so many tiles is shrunk (LLaVA-OneVision)
};

/// How a picture is written into the prompt's text.
struct PlaceholderSpec {
  enum class Layout {
    kSingle,  // one token, whatever the picture (Mllama)
    kTokens,  // as many image tokens as features, between `before` and `after`
    kRows,  // a row of tokens per row of features, `row_break` between them and `row_end` at the end: Pixtral
    kTiles,           // every tile with its row and column, and the whole view last: Idefics 3
    kCrops,           // like kTokens, for the whole view and then for each crop: Gemma 3
    kSeparatedTiles,  // tiles with `row_break` between them and `row_end` after each row of them, then
                      // `whole_view` and the whole view, all between `before` and `after`: Llama 4
  };
  Layout layout = Layout::kTokens;
  std::int64_t token_id = -1;  // stands for a picture in the text; -1: image_token_id
  std::string text;            // the same, where config.json does not know that token
  std::string before, after;   // "{5}" is the token with id 5
  std::string row_break, row_end, whole_view;
  std::string prompt_end;  // closes every prompt with pictures (PaliGemma)
  bool before_begin =
      false;  // pictures that begin a prompt stand before its begin-of-sequence token (Mllama)
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
  std::optional<AudioSpec> audio;
  std::optional<ProjectorSpec> projector;
  std::optional<TileMapSpec> tile_map;
  /// Of the tower's feature layers but the first, one each: their features are added to the pictures' rows
  /// after the first blocks (Qwen 3-VL).
  std::vector<ProjectorSpec> deepstack;
  std::int64_t image_token_id = -1;
  PlaceholderSpec placeholder;
  std::string default_prompt;   // of a model that is given nothing but a sound (Whisper)
  bool two_way_prompt = false;  // all rows of a prompt with pictures see each other (PaliGemma)
  std::vector<NameRule>
      names;  // tried in order on every name in the file; the first prefix that fits is replaced
  std::vector<std::string> ignored_tensors;  // regexes of leftovers in old files: inv_freq, masks
  std::vector<std::string> default_ignore;   // what quantize leaves alone unless told otherwise
  std::vector<std::string> sequential_targets;
};

}  // namespace farthing::nn
