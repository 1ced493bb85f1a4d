// The table of families, and finding a row in it.
#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "base/nearest_name.h"
#include "models/families.h"
#include "models/family.h"

namespace farthing::models {
namespace {

constexpr std::array kFamilies = {
    Family{"llama", "Llama 1/2/3, Vicuna, TinyLlama, SmolLM2", declare_llama},
    Family{"mistral", "Mistral, Mistral-Nemo", declare_mistral},
    Family{"ministral", "Ministral 8B", declare_ministral},
    Family{"ministral3", "Ministral 3 (text)", declare_ministral3},
    Family{"mixtral", "Mixtral", declare_mixtral},
    Family{"qwen2", "Qwen 2, Qwen 2.5", declare_qwen2},
    Family{"qwen2_moe", "Qwen 1.5 and 2 MoE", declare_qwen2_moe},
    Family{"qwen3", "Qwen 3", declare_qwen3},
    Family{"qwen3_moe", "Qwen 3 MoE", declare_qwen3_moe},
    Family{"gemma", "Gemma 1", declare_gemma},
    Family{"gemma2", "Gemma 2", declare_gemma2},
    Family{"gemma3_text", "Gemma 3 (text)", declare_gemma3_text},
    Family{"phi", "Phi 1, 1.5, 2", declare_phi},
    Family{"phi3", "Phi 3, Phi 4-mini", declare_phi3},
    Family{"smollm3", "SmolLM 3", declare_smollm3},
    Family{"cohere", "Cohere Command-R", declare_cohere},
    Family{"cohere2", "Cohere Command-R7B, Command-A", declare_cohere2},
    Family{"falcon", "Falcon", declare_falcon},
    Family{"granite", "Granite 3", declare_granite},
    Family{"granitemoe", "Granite 3 MoE", declare_granitemoe, "granitemoeshared"},
    Family{"granitemoeshared", "Granite 3 MoE with a shared MLP", declare_granitemoeshared},
    Family{"olmo2", "OLMo 2", declare_olmo2},
    Family{"olmo", "OLMo 1", declare_olmo},
    Family{"olmo3", "OLMo 3", declare_olmo3},
    Family{"olmoe", "OLMoE", declare_olmoe},
    Family{"glm", "GLM 4 9B", declare_glm},
    Family{"glm4", "GLM 4 0414", declare_glm4},
    Family{"glm4_moe", "GLM 4.5, 4.6", declare_glm4_moe},
    Family{"glm4_moe_lite", "GLM 4.7 Flash", declare_glm4_moe_lite},
    Family{"dots1", "dots.llm1", declare_dots1},
    Family{"gpt_oss", "gpt-oss", declare_gpt_oss},
    Family{"deepseek_v2", "DeepSeek-V2, -V2-Lite, -V2.5", declare_deepseek_v2},
    Family{"deepseek_v3", "DeepSeek-V3, -R1", declare_deepseek_v3},
    Family{"minicpm3", "MiniCPM 3", declare_minicpm3},
    Family{"minimax_m2", "MiniMax-M2", declare_minimax_m2},
    Family{"ernie4_5", "ERNIE 4.5", declare_ernie4_5},
    Family{"ernie4_5_moe", "ERNIE 4.5 MoE", declare_ernie4_5_moe},
    Family{"exaone4", "EXAONE 4", declare_exaone4},
    Family{"hunyuan_v1_dense", "Hunyuan (dense)", declare_hunyuan_v1_dense},
    Family{"hunyuan_v1_moe", "Hunyuan (MoE)", declare_hunyuan_v1_moe},
    Family{"seed_oss", "Seed-OSS", declare_seed_oss},
    Family{"nemotron", "Nemotron 3 and 4, Minitron", declare_nemotron},
    Family{"arcee", "Arcee AFM", declare_arcee},
    Family{"helium", "Helium", declare_helium},
    Family{"llama4_text", "Llama 4 (text)", declare_llama4_text},
    Family{"stablelm", "StableLM", declare_stablelm},
    Family{"starcoder2", "StarCoder 2", declare_starcoder2},
    Family{"mpt", "MPT", declare_mpt},
    Family{"opt", "OPT", declare_opt},
    Family{"gpt2", "GPT-2", declare_gpt2},
    Family{"gpt_bigcode", "GPT-BigCode, StarCoder 1, SantaCoder", declare_gpt_bigcode},
    Family{"gptj", "GPT-J", declare_gptj},
    Family{"gpt_neo", "GPT-Neo", declare_gpt_neo},
    Family{"gpt_neox", "GPT-NeoX, Pythia", declare_gpt_neox},
    Family{"bloom", "Bloom", declare_bloom},
    Family{"llava", "LLaVA 1.5, Pixtral", declare_llava},
    Family{"llava_next", "LLaVA-NeXT", declare_llava_next},
    Family{"llava_onevision", "LLaVA-OneVision", declare_llava_onevision},
    Family{"idefics3", "Idefics 3", declare_idefics3},
    Family{"smolvlm", "SmolVLM", declare_smolvlm},
    Family{"gemma3", "Gemma 3 (with pictures)", declare_gemma3},
    Family{"paligemma", "PaliGemma", declare_paligemma},
    Family{"internvl", "InternVL 3", declare_internvl},
    Family{"mistral3", "Mistral Small 3.1 (with pictures)", declare_mistral3},
    Family{"mllama", "Mllama (Llama 3.2 Vision)", declare_mllama},
    Family{"llama4", "Llama 4", declare_llama4},
    Family{"qwen2_vl", "Qwen 2-VL", declare_qwen2_vl},
    Family{"qwen2_5_vl", "Qwen 2.5-VL", declare_qwen2_5_vl},
    Family{"qwen3_vl", "Qwen 3-VL", declare_qwen3_vl},
    Family{"qwen3_vl_moe", "Qwen 3-VL MoE", declare_qwen3_vl_moe},
    Family{"qwen3_omni_moe", "Qwen 3-Omni (its thinker, with pictures)", declare_qwen3_omni_moe,
           "qwen3_omni_moe_thinker"},
    Family{"qwen3_omni_moe_thinker", "Qwen 3-Omni's thinker by itself", declare_qwen3_omni_moe_thinker},
    Family{"whisper", "Whisper", declare_whisper},
    Family{"qwen2_audio", "Qwen 2-Audio", declare_qwen2_audio},
};

std::vector<FamilyDescription>& descriptions() {
  static std::vector<FamilyDescription> added;
  return added;
}

const Family& family_named(const std::string& model_type, const Config& config) {
  std::vector<std::string_view> known;
  for (const Family& family : kFamilies) {
    if (family.model_type == model_type) return family;
    known.push_back(family.model_type);
  }
  for (const FamilyDescription& description : descriptions()) known.push_back(description.family());
  const std::string nearest = nearest_name(model_type, known);
  throw Error(Code::kUnsupported, "this architecture is not known",
              {{"file", config.origin()}, {"model_type", model_type}},
              (nearest.empty() ? std::string() : "did you mean " + nearest + "? ") +
                  "describe it with --declare FILE; data-free methods (--method rtn, nf4, int8) work on any "
                  "architecture");
}

// Where a family's files have fused experts in either order, the shape of the first tensor of a layer tells.
void settle_order_of_experts(const checkpoint::Checkpoint& checkpoint, nn::ModelSpec& spec) {
  std::map<std::string, std::optional<nn::MoeSpec>*> layers;  // by the tensor's canonical name
  for (std::size_t i = 0; i < spec.decoder.blocks.size(); ++i) {
    std::optional<nn::MoeSpec>& moe = spec.decoder.blocks[i].moe;
    if (moe && moe->fused.any_order)
      layers[fmt::format("{}.{}.{}.{}.{}.{}", spec.decoder.path, spec.decoder.layers, i, moe->name,
                         moe->experts_name, moe->fused.gate_up)] = &moe;
  }
  if (layers.empty()) return;
  for (const checkpoint::TensorInfo& tensor : checkpoint.tensors()) {
    const auto layer = layers.find(canonical_name(spec, tensor.name));
    if (layer == layers.end()) continue;
    nn::MoeSpec& moe = **layer->second;
    const nn::LinearSpec& up = moe.expert.up;
    moe.fused.transposed = tensor.shape != Shape{moe.num_experts, 2 * up.out_features, up.in_features};
  }
}

}  // namespace

std::span<const Family> families() {
  return kFamilies;
}

void add_description(FamilyDescription description) {
  descriptions().push_back(std::move(description));
}

bool is_known_family(std::string_view model_type) {
  const auto described = [&](const FamilyDescription& added) { return added.family() == model_type; };
  const auto built_in = [&](const Family& family) { return family.model_type == model_type; };
  return std::any_of(descriptions().begin(), descriptions().end(), described) ||
         std::any_of(kFamilies.begin(), kFamilies.end(), built_in);
}

nn::ModelSpec declare(const Config& config) {
  for (const FamilyDescription& description : descriptions())
    if (description.family() == config.text("model_type", "")) return description.declare(config);
  return family_named(config.text("model_type", ""), config).declare(config);
}

nn::ModelSpec declare(const checkpoint::Checkpoint& checkpoint) {
  constexpr std::string_view kKey = "tie_word_embeddings";
  const Config config(checkpoint.config(), (checkpoint.directory() / "config.json").string());
  nn::ModelSpec spec = declare(config);
  const bool denies = config.has(kKey) && !config.child("text_config").flag(kKey, false);
  const std::string head = spec.decoder.lm_head + ".";
  if (!denies && std::ranges::none_of(checkpoint.tensors(), [&](const checkpoint::TensorInfo& tensor) {
        return canonical_name(spec, tensor.name).starts_with(head);
      }))
    spec.decoder.tie_word_embeddings = true;
  settle_order_of_experts(checkpoint, spec);
  return spec;
}

nn::DecoderSpec declare_decoder(const Config& text_config, std::string_view default_model_type,
                                std::string path, std::string lm_head_path) {
  nn::ModelSpec text =
      family_named(text_config.text("model_type", default_model_type), text_config).declare(text_config);
  FARTHING_REQUIRE(!text.vision, Code::kUnsupported, "the text part of the model is itself a composite",
                   {{"file", text_config.origin()}, {"model_type", text.family}});
  text.decoder.path = std::move(path);
  text.decoder.lm_head = std::move(lm_head_path);
  return std::move(text.decoder);
}

std::string canonical_name(const nn::ModelSpec& spec, std::string_view name) {
  for (const nn::NameRule& rule : spec.names)
    if (name.starts_with(rule.from)) return rule.to + std::string(name.substr(rule.from.size()));
  return std::string(name);
}

}  // namespace farthing::models
