#include "models/described.h"

#include "base/error.h"
#include "base/file.h"
#include "base/yaml.h"
#include "models/description_reader.h"
#include "models/parts.h"
#include "models/rope_config.h"

namespace farthing::models {
namespace {

using Reader = DescriptionReader;

// Reads the words of one block after the other. `variables_` are what expressions may name beside keys.
class Describer {
 public:
  Describer(const Json& values, const std::string& origin, const Config& config)
      : config_(config), root_(values, "", origin, config, variables_) {}

  nn::ModelSpec model() {
    if (root_.has("norm")) {
      const Reader norm = root_.child("norm");
      default_kind_ = kind_of(norm, nn::NormSpec::Kind::kRms);
      default_eps_ = norm.number("eps", default_eps_);
      norm.finish();
    }
    nn::DecoderSpec decoder = this->decoder(root_.child("decoder"));
    nn::ModelSpec model =
        text_model(config_, root_.text("family"), root_.text("architecture"), std::move(decoder));
    for (const Reader& rule : root_.children("names")) {
      model.names.push_back({rule.text("from", ""), rule.text("to", "")});
      rule.finish();
    }
    append(root_.texts("ignored_tensors"), model.ignored_tensors);
    append(root_.texts("default_ignore"), model.default_ignore);
    root_.finish();
    return model;
  }

 private:
  static void append(std::vector<std::string> more, std::vector<std::string>& list) {
    list.insert(list.end(), more.begin(), more.end());
  }

  static nn::NormSpec::Kind kind_of(const Reader& norm, nn::NormSpec::Kind fallback) {
    return norm.choice<nn::NormSpec::Kind>(
        "kind", {{"rms", nn::NormSpec::Kind::kRms}, {"layer", nn::NormSpec::Kind::kLayer}}, fallback);
  }

  nn::NormSpec norm(const Reader& parent, std::string_view key, std::int64_t size) const {
    if (!parent.has(key)) return {};
    const Reader reader = parent.child(key);
    nn::NormSpec spec{.kind = kind_of(reader, default_kind_),
                      .name = reader.text("name"),
                      .size = reader.size("size", size),
                      .eps = static_cast<float>(reader.number("eps", default_eps_)),
                      .weight = reader.flag("weight", true)};
    spec.bias = reader.flag("bias", spec.kind == nn::NormSpec::Kind::kLayer);
    spec.weight_offset = static_cast<float>(reader.number("weight_offset", 0.0));
    reader.finish();
    return spec;
  }

  static nn::LinearSpec linear(const Reader& reader, std::int64_t in, std::int64_t out, bool bias) {
    nn::LinearSpec spec{reader.text("name"), in, out, reader.flag("bias", bias),
                        reader.flag("transposed", false)};
    reader.finish();
    return spec;
  }

  // "hidden_act or silu": the key of config.json that names it, and what it is without.
  nn::Activation activation_of(const Reader& reader) const {
    const std::string text = reader.text("activation", "silu");
    const std::size_t alternative = text.find(" or ");
    if (alternative == std::string::npos)
      return activation(Config(Json{{"activation", text}}, config_.origin()), "activation", "");
    return activation(config_, text.substr(0, alternative), text.substr(alternative + 4));
  }

  std::optional<nn::RopeSpec> rope(const Reader& parent, std::int64_t head_dim) const {
    if (!parent.has("rope")) return std::nullopt;
    const Reader reader = parent.child("rope");
    const bool rotates = reader.flag("when", true);
    const std::string theta_key = reader.text("theta_key", "rope_theta");
    const std::string partial_key = reader.text("partial_key", "partial_rotary_factor");
    nn::RopeSpec spec = rope_config(config_, head_dim,
                                    {.theta = reader.number("theta", 10000.0),
                                     .partial_rotary_factor = reader.number("partial_rotary_factor", 1.0),
                                     .max_position_embeddings = max_position_embeddings_,
                                     .theta_key = theta_key,
                                     .partial_key = partial_key,
                                     .scaled = reader.flag("scaled", true)},
                                    reader.text("layer_type", "full_attention"));
    spec.style = reader.choice<nn::RotaryStyle>(
        "style", {{"halves", nn::RotaryStyle::kHalves}, {"neighbours", nn::RotaryStyle::kNeighbours}},
        nn::RotaryStyle::kHalves);
    reader.finish();
    if (!rotates) return std::nullopt;
    return spec;
  }

  nn::AttentionSpec attention(const Reader& reader) {
    nn::AttentionSpec spec{.name = reader.text("name"), .class_name = reader.text("class_name", "Attention")};
    spec.num_heads = reader.size("num_heads");
    spec.num_key_value_heads = reader.size("num_key_value_heads", spec.num_heads);
    const HeadCounts heads =
        checked_heads(config_, "num_heads", hidden_size_,
                      {spec.num_heads, spec.num_key_value_heads, reader.integer("head_dim", 0)});
    spec.head_dim = heads.head_dim;
    variables_["num_heads"] = static_cast<double>(heads.num_heads);
    variables_["num_key_value_heads"] = static_cast<double>(heads.num_key_value_heads);
    variables_["head_dim"] = static_cast<double>(heads.head_dim);
    spec.layout = reader.choice<nn::QkvLayout>("layout",
                                               {{"separate", nn::QkvLayout::kSeparate},
                                                {"concatenated", nn::QkvLayout::kConcatenated},
                                                {"per_head", nn::QkvLayout::kPerHead},
                                                {"per_group", nn::QkvLayout::kPerGroup}},
                                               nn::QkvLayout::kSeparate);
    if (reader.has("latent")) {
      set_latent(reader, reader.child("latent"), spec);
    } else {
      set_linears(reader, heads, spec);
      spec.rope = rope(reader, spec.head_dim);
    }
    spec.query_norm = norm(reader, "query_norm", spec.head_dim);
    spec.key_norm = norm(reader, "key_norm", spec.head_dim);
    spec.head_norm_weights = reader.choice<nn::HeadNormWeights>("head_norm_weights",
                                                                {{"shared", nn::HeadNormWeights::kShared},
                                                                 {"matrix", nn::HeadNormWeights::kMatrix},
                                                                 {"modules", nn::HeadNormWeights::kModules}},
                                                                nn::HeadNormWeights::kShared);
    spec.norm_after_rotation = reader.flag("norm_after_rotation", false);
    spec.projection_limit = static_cast<float>(reader.number("projection_limit", 0.0));
    spec.scale = static_cast<float>(reader.number("scale", 0.0));
    spec.sinks = reader.text("sinks", "");
    spec.softcap = static_cast<float>(reader.number("softcap", 0.0));
    spec.sliding_window = reader.integer("sliding_window", 0);
    spec.chunk = reader.integer("chunk", 0);
    spec.alibi_scale = static_cast<float>(reader.number("alibi_scale", 0.0));
    config_.require(spec.sliding_window >= 0 && spec.chunk >= 0, "sliding_window", "a window is negative");
    if (reader.has("query_growth")) spec.query_growth = query_growth(reader.child("query_growth"));
    reader.finish();
    return spec;
  }

  void set_linears(const Reader& reader, const HeadCounts& heads, nn::AttentionSpec& spec) const {
    const bool bias = reader.flag("bias", false);
    std::vector<std::int64_t> widths = {heads.query_width() + 2 * heads.key_width()};
    if (spec.layout == nn::QkvLayout::kSeparate)
      widths = {heads.query_width(), heads.key_width(), heads.key_width()};
    const std::vector<Reader> inputs = reader.children("inputs");
    FARTHING_REQUIRE(inputs.size() == widths.size(), Code::kInvalidArgument,
                     "an attention has another number of inputs than its layout",
                     {{"inputs", inputs.size()}, {"expected", widths.size()}},
                     "separate: query, key, value; all other layouts: one");
    for (std::size_t i = 0; i < widths.size(); ++i)
      spec.inputs.push_back(linear(inputs[i], hidden_size_, widths[i], bias));
    spec.output = linear(reader.child("output"), heads.query_width(), hidden_size_, bias);
  }

  // Latent attention: inputs are the query (or its latent) and the latent of keys and values.
  void set_latent(const Reader& attention, const Reader& reader, nn::AttentionSpec& spec) const {
    const bool bias = attention.flag("bias", false);
    const std::int64_t query_rank = reader.integer("query_rank", 0), rotated = reader.size("rotated_dim");
    nn::LatentSpec latent{.rank = reader.size("rank"), .plain_dim = spec.head_dim - rotated};
    config_.require(latent.plain_dim >= 0 && query_rank >= 0, "rotated_dim",
                    "a head has no such part to rotate");
    spec.value_head_dim = reader.size("value_dim", spec.head_dim);
    const std::int64_t query_width = spec.num_heads * spec.head_dim;
    latent.key_value_norm = norm(reader, "key_value_norm", latent.rank);
    latent.key_value = linear(reader.child("key_value"), latent.rank,
                              spec.num_heads * (latent.plain_dim + spec.value_head_dim), false);
    if (query_rank > 0) {
      latent.query_norm = norm(reader, "query_norm", query_rank);
      latent.query = linear(reader.child("query"), query_rank, query_width, false);
    }
    reader.has("query"), reader.has("query_norm");  // known words, though nothing without a rank
    reader.finish();
    const std::vector<Reader> inputs = attention.children("inputs");
    FARTHING_REQUIRE(inputs.size() == 2, Code::kInvalidArgument,
                     "latent attention has two inputs: the query, and the latent of keys and values");
    spec.inputs = {
        linear(inputs[0], hidden_size_, query_rank > 0 ? query_rank : query_width, bias && query_rank > 0),
        linear(inputs[1], hidden_size_, latent.rank + rotated, bias)};
    spec.output = linear(attention.child("output"), spec.num_heads * spec.value_head_dim, hidden_size_, bias);
    spec.latent = std::move(latent);
    spec.rope = rope(attention, rotated);
  }

  static nn::QueryGrowth query_growth(const Reader& reader) {
    nn::QueryGrowth growth{.scale = reader.number("scale", 0.1),
                           .length = static_cast<double>(reader.size("length")),
                           .offset = reader.number("offset", 1.0)};
    reader.finish();
    return growth;
  }

  nn::MlpSpec mlp(const Reader& reader) const {
    const bool bias = reader.flag("bias", false), fused = reader.flag("fused_gate_up", false);
    const std::int64_t width = reader.size("width");
    nn::MlpSpec spec{.name = reader.text("name", ""),
                     .class_name = reader.text("class_name", "MLP"),
                     .activation = activation_of(reader),
                     .up = linear(reader.child("up"), hidden_size_, fused ? 2 * width : width, bias),
                     .down = linear(reader.child("down"), width, hidden_size_, bias),
                     .fused_gate_up = fused,
                     .limit = static_cast<float>(reader.number("limit", 0.0)),
                     .up_offset = static_cast<float>(reader.number("up_offset", 0.0))};
    if (reader.has("gate")) spec.gate = linear(reader.child("gate"), hidden_size_, width, bias);
    reader.finish();
    return spec;
  }

  nn::MoeSpec moe(const Reader& reader) const {
    constexpr double kMostExperts = 1 << 16;  // in all layers: a nonsense value shall do no harm
    nn::MoeSpec spec{.name = reader.text("name"),
                     .class_name = reader.text("class_name", "MoE"),
                     .experts_name = reader.text("experts_name", "experts"),
                     .num_experts = reader.size("num_experts"),
                     .num_experts_per_token = reader.size("num_experts_per_token")};
    config_.require(static_cast<double>(spec.num_experts) * variables_.at("num_layers") <= kMostExperts &&
                        spec.num_experts_per_token <= spec.num_experts,
                    "num_experts", "a token cannot go to more experts than there are");
    spec.router = linear(reader.child("router"), hidden_size_, spec.num_experts, false);
    spec.score = reader.choice<nn::RouterScore>(
        "score", {{"softmax", nn::RouterScore::kSoftmax}, {"sigmoid", nn::RouterScore::kSigmoid}},
        nn::RouterScore::kSoftmax);
    spec.choice_bias = reader.text("choice_bias", "");
    spec.num_groups = reader.size("num_groups", 1);
    spec.groups_per_token = reader.size("groups_per_token", 1);
    spec.experts_per_group_score = reader.size("experts_per_group_score", 1);
    config_.require(spec.num_experts % spec.num_groups == 0 && spec.groups_per_token <= spec.num_groups &&
                        spec.experts_per_group_score <= spec.num_experts / spec.num_groups,
                    "num_groups", "the experts cannot be divided into such groups");
    spec.normalize_top_k = reader.flag("normalize_top_k", true);
    spec.routed_scale = static_cast<float>(reader.number("routed_scale", 1.0));
    spec.scales_inputs = reader.flag("scales_inputs", false);
    spec.expert = mlp(reader.child("expert"));
    if (reader.has("shared_expert")) spec.shared_expert = mlp(reader.child("shared_expert"));
    if (reader.has("shared_expert_gate"))
      spec.shared_expert_gate = linear(reader.child("shared_expert_gate"), hidden_size_, 1, false);
    if (reader.has("fused")) spec.fused = fused(reader.child("fused"));
    reader.finish();
    return spec;
  }

  static nn::FusedExperts fused(const Reader& reader) {
    nn::FusedExperts spec;
    spec.gate_up = reader.text("gate_up", spec.gate_up);
    spec.down = reader.text("down", spec.down);
    spec.transposed = reader.flag("transposed", false);
    spec.interleaved = reader.flag("interleaved", false);
    reader.finish();
    return spec;
  }

  nn::BlockSpec block(const Reader& reader) {
    nn::BlockSpec spec{.class_name = reader.text("class_name")};
    spec.residual = reader.choice<nn::Residual>("residual",
                                                {{"pre_norm", nn::Residual::kPreNorm},
                                                 {"post_norm", nn::Residual::kPostNorm},
                                                 {"normed", nn::Residual::kNormed},
                                                 {"parallel", nn::Residual::kParallel}},
                                                nn::Residual::kPreNorm);
    if (reader.flag("parallel_when", false)) spec.residual = nn::Residual::kParallel;
    spec.attention_norm = norm(reader, "attention_norm", hidden_size_);
    spec.attention = attention(reader.child("attention"));
    spec.attention_output_norm = norm(reader, "attention_output_norm", hidden_size_);
    spec.mlp_norm = norm(reader, "mlp_norm", hidden_size_);
    if (reader.has("mlp")) spec.mlp = mlp(reader.child("mlp"));
    if (reader.flag("moe_when", reader.has("moe"))) spec.moe = moe(reader.child("moe"));
    spec.mlp_output_norm = norm(reader, "mlp_output_norm", hidden_size_);
    spec.residual_scale = static_cast<float>(reader.number("residual_scale", 1.0));
    reader.finish();
    return spec;
  }

  nn::DecoderSpec decoder(const Reader& reader) {
    constexpr std::int64_t kMostLayers = 4096;
    hidden_size_ = reader.size("hidden_size");
    max_position_embeddings_ = reader.size("max_position_embeddings", 2048);
    variables_["hidden_size"] = static_cast<double>(hidden_size_);
    nn::DecoderSpec spec{.path = reader.text("path"),
                         .class_name = reader.text("class_name", "Decoder"),
                         .vocab_size = reader.size("vocab_size"),
                         .hidden_size = hidden_size_,
                         .max_position_embeddings = max_position_embeddings_,
                         .embed_tokens = reader.text("embed_tokens", "embed_tokens"),
                         .embedding_scale = static_cast<float>(reader.number("embedding_scale", 1.0)),
                         .round_embedding_scale = reader.flag("round_embedding_scale", false),
                         .embedding_norm = norm(reader, "embedding_norm", hidden_size_),
                         .embed_positions = reader.text("embed_positions", ""),
                         .position_offset = reader.integer("position_offset", 0),
                         .layers = reader.text("layers", "layers"),
                         .final_norm = norm(reader, "final_norm", hidden_size_),
                         .lm_head = reader.text("lm_head", "lm_head"),
                         .lm_head_bias = reader.flag("lm_head_bias", false),
                         .tie_word_embeddings = reader.flag("tie_word_embeddings", false),
                         .logit_scale = static_cast<float>(reader.number("logit_scale", 1.0)),
                         .logit_softcap = static_cast<float>(reader.number("logit_softcap", 0.0))};
    const std::int64_t num_layers = reader.size("num_layers");
    config_.require(num_layers <= kMostLayers, "num_layers", "the description asks for too many layers");
    variables_["num_layers"] = static_cast<double>(num_layers);
    reader.finish();
    for (std::int64_t layer = 0; layer < num_layers; ++layer) {
      variables_["layer"] = static_cast<double>(layer);
      spec.blocks.push_back(block(root_.child("block")));
    }
    return spec;
  }

  const Config& config_;
  Variables variables_;
  Reader root_;
  nn::NormSpec::Kind default_kind_ = nn::NormSpec::Kind::kRms;
  double default_eps_ = 1e-6;
  std::int64_t hidden_size_ = 0, max_position_embeddings_ = 0;
};

}  // namespace

FamilyDescription FamilyDescription::open(const std::filesystem::path& file) {
  return parse(read_text(file), file.string());
}

FamilyDescription FamilyDescription::parse(const std::string& yaml, const std::string& origin) {
  FamilyDescription description;
  description.values_ = parse_yaml(yaml, origin);
  description.origin_ = origin;
  const Config empty(Json::object());
  description.family_ = Reader(description.values_, "", origin, empty, {}).text("family");
  return description;
}

nn::ModelSpec FamilyDescription::declare(const Config& config) const {
  return Describer(values_, origin_, config).model();
}

}  // namespace farthing::models
