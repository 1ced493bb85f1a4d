#include "plan/gguf_plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "checkpoint/gguf/model.h"
#include "plan/gguf_metadata.h"
#include "plan/modifier_match.h"
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
    plan_.scheme_name = options.mixture != nullptr ? options.mixture->name : "unchanged";
    plan_.spec = spec;
    for (const checkpoint::TensorInfo& info : checkpoint.tensors())
      dtypes_.emplace(models::canonical_name(spec, info.name), info.dtype);
    reader_ = formats::detect(checkpoint, config);
    for (const std::string& module : reader_->modules())
      quantized_.emplace(models::canonical_name(spec, module), module);
    plan_.needs_calibration = options.weigh_columns;
  }

  GgufPlan make() {
    const std::string model_type = text_model_type(config_);
    const auto architecture = checkpoint::gguf::stored_architecture(model_type);
    FARTHING_REQUIRE(architecture, Code::kUnsupported, "this family is not written as GGUF",
                     {{"model_type", model_type}},
                     fmt::format("{} are; use a safetensors format for others",
                                 fmt::join(checkpoint::gguf::stored_model_types(), ", ")));
    architecture_ = *architecture;
    choose_ignored();
    const nn::DecoderSpec& decoder = plan_.spec.decoder;
    const bool all_alike = std::ranges::all_of(decoder.blocks, [&](const nn::BlockSpec& block) {
      return block.moe.has_value() == decoder.blocks.front().moe.has_value();
    });
    FARTHING_REQUIRE(all_alike, Code::kUnsupported,
                     "llama.cpp wants experts in every block of this family, or in none",
                     {{"model_type", model_type}}, "use a safetensors format for this model");
    models::for_each_tensor(plan_.spec, [&](const models::DeclaredTensor& tensor) { add(tensor); });
    add_rope_factors();
    plan_.metadata =
        model_metadata(plan_.spec, architecture_, plan_.model_name, file_type(), plan_.deviations);
    auto words =
        tokenizer_metadata(models::home_of(checkpoint_), config_, decoder.vocab_size, plan_.deviations);
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
    if (const auto stacked = checkpoint::gguf::stacked_expert(architecture_, *text))
      return add_expert(declared, stacked->stack);
    const auto name = checkpoint::gguf::stored_name(architecture_, *text);
    FARTHING_REQUIRE(name, Code::kUnsupported, "llama.cpp has no name for a tensor of this model",
                     {{"tensor", declared.name}}, "use a safetensors format for this model");
    const nn::DecoderSpec& decoder = plan_.spec.decoder;
    GgufTensor tensor{.name = *name, .source = declared.name, .shape = declared.shape};
    const std::string module = without_weight(declared.name);
    if (linears_.contains(module) && declared.name != module) tensor.module = tensor.reader = module;
    if (tensor.name == "token_embd.weight" && decoder.tie_word_embeddings) tensor.reader = decoder.lm_head;
    if (tensor.name.ends_with(".ffn_gate_inp_shexp.weight"))
      tensor.shape = {tensor.shape.back()};  // of one row
    tensor.type = options_.mixture != nullptr ? type_of(tensor) : own_type(tensor);
    tensor.carries_codes = options_.mixture == nullptr && quantized_.contains(tensor.module);
    if (checkpoint::gguf::holds_factors(architecture_, tensor.name)) tensor.added = 1;
    if (architecture_.interleaves_rows) tensor.interleaved_heads = heads_of(tensor.name);
    plan_.tensors.push_back(std::move(tensor));
  }

  // Experts come in their order, each with all of its linears.
  void add_expert(const models::DeclaredTensor& declared, const std::string& stack) {
    const std::string module = without_weight(declared.name);
    const auto [place, is_new] = stacks_.try_emplace(stack, plan_.tensors.size());
    if (is_new) {
      GgufTensor tensor{.name = stack, .source = declared.name, .module = module, .shape = declared.shape};
      tensor.shape.insert(tensor.shape.begin(), 0);
      tensor.type = options_.mixture != nullptr ? type_of(tensor) : own_type(tensor);
      tensor.carries_codes = options_.mixture == nullptr && quantized_.contains(module);
      plan_.tensors.push_back(std::move(tensor));
    }
    GgufTensor& tensor = plan_.tensors[place->second];
    tensor.experts.push_back(module);
    ++tensor.shape.front();
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
                                    .num_experts = num_experts(),
                                    .has_head = !decoder.tie_word_embeddings,
                                    .has_importance = options_.weigh_columns},
                                   {.name = tensor.name,
                                    .columns = tensor.shape.back(),
                                    .rank = static_cast<std::int64_t>(tensor.shape.size())});
    if (!chosen.deviation.empty()) plan_.deviations.push_back({tensor.source, chosen.deviation});
    return checkpoint::gguf::type_of_name(chosen.type);
  }

  std::int64_t num_experts() const {
    const std::optional<nn::MoeSpec>& moe = plan_.spec.decoder.blocks.front().moe;
    return moe ? moe->num_experts : 0;
  }

  // The type that holds a tensor as it is.
  std::uint32_t own_type(const GgufTensor& tensor) const {
    if (const auto module = quantized_.find(tensor.module); module != quantized_.end())
      return checkpoint::gguf::type_of_name(type_with_grid(module->second));
    if (tensor.shape.size() < 2) return plain_type(DType::kF32);
    const auto dtype = dtypes_.find(tensor.source);
    return plain_type(dtype != dtypes_.end() ? dtype->second : DType::kF32);
  }

  // The block type whose values are scale * code with as many codes; whether the scales fit shows at the
  // work.
  std::string_view type_with_grid(const std::string& module) const {
    const scheme::QuantizationArgs weights = *reader_->scheme_of(module).weights;
    FARTHING_REQUIRE(weights.type == NumberType::kInt && !scheme::is_llm_int8(weights), Code::kUnsupported,
                     "cannot convert without loss: no block type of GGUF has these values",
                     {{"module", module}}, "use farthing quantize --format gguf for types of its own");
    return weights.num_bits <= 4 ? "Q4_0" : weights.num_bits == 5 ? "Q5_0" : "Q8_0";
  }

  // What llama.cpp calls a file with these types: that of the most weights.
  std::uint32_t file_type() const {
    if (options_.mixture != nullptr) return options_.mixture->file_type;
    std::map<std::uint32_t, std::int64_t> weights;
    for (const GgufTensor& tensor : plan_.tensors) {
      if (tensor.shape.size() > 1) weights[tensor.type] += num_elements(tensor.shape);
    }
    const auto most =
        std::ranges::max_element(weights, {}, &std::pair<const std::uint32_t, std::int64_t>::second);
    const formats::gguf::Mixture* named =
        most == weights.end() ? nullptr
                              : formats::gguf::find_mixture(checkpoint::gguf::type_name(most->first));
    return named != nullptr ? named->file_type : 0;
  }

  std::int64_t heads_of(std::string_view name) const {
    const nn::AttentionSpec& attention = plan_.spec.decoder.blocks.front().attention;
    if (name.find(".attn_q.") != std::string_view::npos) return attention.num_heads;
    return name.find(".attn_k.") != std::string_view::npos ? attention.num_key_value_heads : 0;
  }

  void add_rope_factors() {
    std::vector<float> factors = rope_factors(plan_.spec);
    if (factors.empty()) return;
    const Shape shape = {static_cast<std::int64_t>(factors.size())};
    plan_.tensors.push_back({.name = "rope_freqs.weight",
                             .type = plain_type(DType::kF32),
                             .shape = shape,
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
  checkpoint::gguf::StoredArchitecture architecture_;
  std::set<std::string> linears_;
  std::map<std::string, std::size_t> stacks_;     // of experts, in plan_.tensors
  std::map<std::string, DType> dtypes_;           // by canonical tensor
  std::map<std::string, std::string> quantized_;  // canonical module to the file's
  std::unique_ptr<formats::WeightReader> reader_;
  GgufPlan plan_;
};

}  // namespace

std::vector<GgufTensor> pieces_of(const GgufTensor& tensor) {
  if (tensor.experts.empty()) return {tensor};
  std::vector<GgufTensor> pieces;
  for (const std::string& module : tensor.experts) {
    GgufTensor piece = tensor;
    piece.source = module + ".weight";
    piece.module = piece.reader = module;
    piece.experts.clear();
    piece.shape.erase(piece.shape.begin());
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

GgufPlan make_gguf_plan(const checkpoint::Checkpoint& checkpoint, const Json& config,
                        const nn::ModelSpec& spec, const GgufOptions& options) {
  return GgufPlanner(checkpoint, config, spec, options).make();
}

}  // namespace farthing::plan
