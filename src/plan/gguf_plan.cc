#include "plan/gguf_plan.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "checkpoint/gguf/model.h"
#include "plan/gguf_metadata.h"
#include "scheme/target.h"

namespace farthing::plan {
namespace {

using checkpoint::gguf::plain_type;
using formats::gguf::ChosenType;
using models::ModuleInfo;

// The text model's own model_type: a composite one names it inside text_config.
std::string text_model_type(const Json& config) {
  const auto text = config.find("text_config");
  if (text == config.end() || !text->is_object()) return config.value("model_type", "");
  return text->value("model_type", "llama");
}

std::string without_weight(const std::string& tensor) {
  constexpr std::string_view kWeight = ".weight";
  return tensor.ends_with(kWeight) ? tensor.substr(0, tensor.size() - kWeight.size()) : tensor;
}

class GgufPlanner {
 public:
  GgufPlanner(const checkpoint::Checkpoint& checkpoint, const Json& config, const nn::ModelSpec& spec,
              const GgufOptions& options)
      : checkpoint_(checkpoint), config_(config), options_(options) {
    plan_.model_name = options.model_name;
    plan_.scheme_name = options.mixture->name;
    plan_.spec = spec;
    plan_.needs_calibration = options.weigh_columns;
  }

  GgufPlan make() {
    const std::string model_type = text_model_type(config_);
    const auto architecture = checkpoint::gguf::stored_architecture(model_type);
    FARTHING_REQUIRE(architecture, Code::kUnsupported, "this family is not written as GGUF",
                     {{"model_type", model_type}},
                     fmt::format("{} are; use a safetensors format for others",
                                 fmt::join(checkpoint::gguf::stored_model_types(), ", ")));
    interleaves_ = architecture->interleaves_rows;
    choose_ignored();
    const nn::DecoderSpec& decoder = plan_.spec.decoder;
    models::for_each_tensor(plan_.spec, [&](const models::DeclaredTensor& tensor) { add(tensor); });
    add_rope_factors();
    plan_.metadata = model_metadata(plan_.spec, architecture->name, plan_.model_name,
                                    options_.mixture->file_type, plan_.deviations);
    auto words = tokenizer_metadata(checkpoint_.directory(), config_, decoder.vocab_size, plan_.deviations);
    std::ranges::move(words, std::back_inserter(plan_.metadata));
    if (plan_.spec.vision)
      plan_.deviations.push_back(
          {plan_.spec.vision->path, "the picture's part has no place in the text model's file"});
    sum_up();
    return std::move(plan_);
  }

 private:
  void choose_ignored() {
    std::vector<scheme::Target> targets;
    for (const std::string& pattern : options_.ignore) targets.emplace_back(pattern);
    for (const ModuleInfo& module : models::linears_of(plan_.spec)) {
      linears_.insert(module.path);
      const scheme::ModuleNames names = {.names = spellings(plan_.spec, module.path),
                                         .class_name = module.class_name};
      const bool ignored = std::any_of(targets.begin(), targets.end(), [&](const scheme::Target& target) {
        return target.match(names).has_value();
      });
      if (ignored) plan_.ignored.push_back(module.path);
    }
  }

  // The name that the text model would have by itself, or nothing for tensors of the picture's part.
  std::optional<std::string> text_name(const std::string& canonical) const {
    const nn::DecoderSpec& decoder = plan_.spec.decoder;
    if (canonical.starts_with(decoder.path + ".")) return "model" + canonical.substr(decoder.path.size());
    if (canonical.starts_with(decoder.lm_head + "."))
      return "lm_head" + canonical.substr(decoder.lm_head.size());
    return std::nullopt;
  }

  void add(const models::DeclaredTensor& declared) {
    const auto text = text_name(declared.name);
    if (!text) return;
    const auto name = checkpoint::gguf::stored_name(*text);
    FARTHING_REQUIRE(name, Code::kUnsupported, "llama.cpp has no name for a tensor of this model",
                     {{"tensor", declared.name}}, "use a safetensors format for this model");
    const nn::DecoderSpec& decoder = plan_.spec.decoder;
    GgufTensor tensor{.name = *name, .source = declared.name, .shape = declared.shape};
    const std::string module = without_weight(declared.name);
    if (linears_.contains(module) && declared.name != module) tensor.module = tensor.reader = module;
    if (tensor.name == "token_embd.weight" && decoder.tie_word_embeddings) tensor.reader = decoder.lm_head;
    tensor.type = type_of(tensor);
    if (interleaves_) tensor.interleaved_heads = heads_of(tensor.name);
    plan_.tensors.push_back(std::move(tensor));
  }

  std::uint32_t type_of(const GgufTensor& tensor) {
    const nn::DecoderSpec& decoder = plan_.spec.decoder;
    const nn::AttentionSpec& attention = decoder.blocks.front().attention;
    if (std::ranges::find(plan_.ignored, tensor.module) != plan_.ignored.end() && !tensor.module.empty())
      return plain_type(DType::kF16);
    const ChosenType chosen =
        formats::gguf::choose_type(*options_.mixture,
                                   {.num_blocks = static_cast<std::int64_t>(decoder.blocks.size()),
                                    .num_heads = attention.num_heads,
                                    .num_key_value_heads = attention.num_key_value_heads,
                                    .has_head = !decoder.tie_word_embeddings,
                                    .has_importance = options_.weigh_columns},
                                   {.name = tensor.name,
                                    .columns = tensor.shape.back(),
                                    .rank = static_cast<std::int64_t>(tensor.shape.size())});
    if (!chosen.deviation.empty()) plan_.deviations.push_back({tensor.source, chosen.deviation});
    return checkpoint::gguf::type_of_name(chosen.type);
  }

  std::int64_t heads_of(std::string_view name) const {
    const nn::AttentionSpec& attention = plan_.spec.decoder.blocks.front().attention;
    if (name.find(".attn_q.") != std::string_view::npos) return attention.num_heads;
    return name.find(".attn_k.") != std::string_view::npos ? attention.num_key_value_heads : 0;
  }

  void add_rope_factors() {
    std::vector<float> factors = rope_factors(plan_.spec);
    if (factors.empty()) return;
    plan_.tensors.push_back({.name = "rope_freqs.weight",
                             .type = plain_type(DType::kF32),
                             .shape = {static_cast<std::int64_t>(factors.size())},
                             .computed = std::move(factors)});
  }

  void sum_up() {
    plan_.bytes_in = checkpoint_.total_bytes();
    std::int64_t parameters = 0;
    std::uint64_t matrix_bytes = 0;
    for (const GgufTensor& tensor : plan_.tensors) {
      const std::uint64_t bytes = checkpoint::gguf::stored_bytes(tensor.type, tensor.shape);
      plan_.bytes_out += bytes;
      if (tensor.shape.size() < 2) continue;
      matrix_bytes += bytes;
      parameters += num_elements(tensor.shape);
    }
    plan_.bits_per_weight =
        8.0 * static_cast<double>(matrix_bytes) / static_cast<double>(std::max<std::int64_t>(parameters, 1));
  }

  const checkpoint::Checkpoint& checkpoint_;
  const Json& config_;
  const GgufOptions& options_;
  bool interleaves_ = false;
  std::set<std::string> linears_;
  GgufPlan plan_;
};

}  // namespace

GgufPlan make_gguf_plan(const checkpoint::Checkpoint& checkpoint, const Json& config,
                        const nn::ModelSpec& spec, const GgufOptions& options) {
  return GgufPlanner(checkpoint, config, spec, options).make();
}

}  // namespace farthing::plan
