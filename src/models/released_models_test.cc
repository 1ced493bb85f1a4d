// Released checkpoints by their config.json alone: a declaration that forgot a tensor, or took one too many,
// would not have as many parameters as the hub says.
#include <gtest/gtest.h>

#include "models/family.h"

namespace farthing::models {
namespace {

struct Released {
  const char* name;
  std::int64_t parameters;
  const char* config;
};

constexpr std::int64_t kUnused = 2 * 1024;  // CLIP's final norm, which no feature passes

constexpr Released kModels[] = {
    {"llama_3_1_8b", 8030261248, R"({"model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
        "num_key_value_heads": 8, "vocab_size": 128256})"},
    {"mistral_7b", 7241732096,
     R"({"model_type": "mistral", "intermediate_size": 14336, "num_key_value_heads": 8,
        "vocab_size": 32000})"},
    {"mixtral_8x7b", 46702792704,
     R"({"model_type": "mixtral", "intermediate_size": 14336, "num_key_value_heads": 8,
        "vocab_size": 32000})"},
    {"qwen2_5_7b", 7615616512, R"({"model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944,
        "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4, "vocab_size": 152064})"},
    {"qwen3_8b", 8190735360, R"({"model_type": "qwen3", "hidden_size": 4096, "intermediate_size": 12288,
        "num_hidden_layers": 36, "num_key_value_heads": 8, "vocab_size": 151936})"},
    {"gemma_7b", 8537680896, R"({"model_type": "gemma"})"},
    {"gemma_2_9b", 9241705984, R"({"model_type": "gemma2", "hidden_size": 3584, "intermediate_size": 14336,
        "num_attention_heads": 16, "num_hidden_layers": 42, "num_key_value_heads": 8})"},
    {"phi_3_mini", 3821079552, R"({"model_type": "phi3"})"},
    {"phi_2", 2779683840, R"({"model_type": "phi", "hidden_size": 2560, "intermediate_size": 10240,
        "num_hidden_layers": 32})"},
    {"smollm3_3b", 3075098624, R"({"model_type": "smollm3", "hidden_size": 2048, "intermediate_size": 11008,
        "num_attention_heads": 16, "num_hidden_layers": 36, "num_key_value_heads": 4, "vocab_size": 128256,
        "tie_word_embeddings": true})"},
    {"olmo_2_7b", 7298617344, R"({"model_type": "olmo2", "vocab_size": 100352})"},
    {"glm_4_9b", 9399951360, R"({"model_type": "glm"})"},
    {"gpt_oss_20b", 20914757184,
     R"({"model_type": "gpt_oss", "num_hidden_layers": 24, "num_local_experts": 32})"},
    {"deepseek_v2_lite", 15706484224, R"({"model_type": "deepseek_v2", "hidden_size": 2048,
        "intermediate_size": 10944, "moe_intermediate_size": 1408, "num_hidden_layers": 27,
        "num_attention_heads": 16, "q_lora_rank": null, "first_k_dense_replace": 1})"},
    {"deepseek_v3", 671026419200, R"({"model_type": "deepseek_v3"})"},
    {"olmoe_1b_7b", 6919161856, R"({"model_type": "olmoe", "intermediate_size": 1024})"},
    {"starcoder2_3b", 3030371328, R"({"model_type": "starcoder2"})"},
    {"stablelm_3b", 2795443200, R"({"model_type": "stablelm"})"},
    {"mpt_7b", 6649286656, R"({"model_type": "mpt", "d_model": 4096, "n_heads": 32, "n_layers": 32,
        "vocab_size": 50432})"},
    {"gpt_neo_1_3b", 1315575808, R"({"model_type": "gpt_neo"})"},
    {"gptj_6b", 6050882784, R"({"model_type": "gptj"})"},
    {"opt_125m", 125239296, R"({"model_type": "opt"})"},
    {"gpt2", 124439808, R"({"model_type": "gpt2"})"},
    {"bloom_560m", 559214592, R"({"model_type": "bloom", "hidden_size": 1024, "n_layer": 24, "n_head": 16})"},
    {"llava_1_5_7b", 7063427072 - kUnused,
     R"({"model_type": "llava", "image_token_index": 32000, "text_config": {"model_type": "llama",
        "vocab_size": 32064, "rms_norm_eps": 1e-5}, "vision_config": {"model_type": "clip_vision_model", "hidden_size": 1024,
        "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14}})"},
    {"llava_v1_6_mistral_7b", 7566747648 - kUnused,
     R"({"model_type": "llava_next", "text_config": {"model_type": "mistral",
        "vocab_size": 32064, "intermediate_size": 14336}, "vision_config": {"model_type": "clip_vision_model", "hidden_size": 1024,
        "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 336, "patch_size": 14}})"},
    {"smolvlm_256m", 256484928,
     R"({"model_type": "idefics3", "scale_factor": 4, "text_config": {"model_type": "llama",
        "vocab_size": 49280, "hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3}, "vision_config": {"hidden_size": 768, "image_size": 512, "patch_size": 16,
        "num_attention_heads": 12}})"},
    {"gemma_3_4b_it", 4300079472,
     R"({"model_type": "gemma3", "mm_tokens_per_image": 256, "text_config": {"hidden_size": 2560,
        "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34, "vocab_size": 262208}, "vision_config": {"hidden_size": 1152,
        "image_size": 896, "intermediate_size": 4304, "model_type": "siglip_vision_model", "num_attention_heads": 16,
        "num_hidden_layers": 27, "patch_size": 14}})"},
    {"paligemma_3b_pt_224", 2923466480, R"({"model_type": "paligemma", "text_config": {"hidden_size": 2048,
        "intermediate_size": 16384, "model_type": "gemma", "num_attention_heads": 8, "num_hidden_layers": 18,
        "num_key_value_heads": 1, "vocab_size": 257216}, "vision_config": {"hidden_size": 1152, "intermediate_size": 4304,
        "num_attention_heads": 16, "num_hidden_layers": 27, "patch_size": 14}})"},
    {"qwen2_5_vl_7b", 8292166656,
     R"({"model_type": "qwen2_5_vl", "hidden_size": 3584, "intermediate_size": 18944,
        "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-6,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}, "tie_word_embeddings": false, "vocab_size": 152064,
        "vision_config": {"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "in_chans": 3,
        "out_hidden_size": 3584, "patch_size": 14}})"},
    {"qwen2_vl_2b", 2208985600, R"({"model_type": "qwen2_vl", "hidden_size": 1536, "intermediate_size": 8960,
        "num_attention_heads": 12, "num_hidden_layers": 28, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}, "tie_word_embeddings": true, "vocab_size": 151936,
        "vision_config": {"depth": 32, "embed_dim": 1280, "mlp_ratio": 4, "num_heads": 16, "in_chans": 3, "hidden_size": 1536,
        "patch_size": 14}})"},
    {"llama_3_2_11b_vision", 10670220835,
     R"({"model_type": "mllama", "text_config": {"num_hidden_layers": 40},
        "vision_config": {"image_size": 560}, "transformers_version": "4.45.0"})"},
    {"pixtral_12b", 12682739712,
     R"({"model_type": "llava", "vision_feature_layer": -1, "vision_feature_select_strategy": "full",
        "text_config": {"model_type": "mistral", "hidden_size": 5120, "head_dim": 128, "intermediate_size": 14336,
        "num_hidden_layers": 40, "vocab_size": 131072}, "vision_config": {"model_type": "pixtral", "head_dim": 64,
        "hidden_act": "silu"}})"},
    {"internvl3_8b_hf", 7944373760,
     R"({"model_type": "internvl", "text_config": {"model_type": "qwen2", "hidden_size": 3584,
        "intermediate_size": 18944, "num_attention_heads": 28, "num_hidden_layers": 28, "num_key_value_heads": 4,
        "vocab_size": 151674}, "vision_config": {"attention_bias": true, "image_size": [448, 448], "patch_size": [14, 14]}})"},
    {"qwen3_vl_8b", 8767123696,
     R"({"model_type": "qwen3_vl", "text_config": {"hidden_size": 4096, "intermediate_size": 12288,
        "num_hidden_layers": 36, "num_key_value_heads": 8}, "vision_config": {"out_hidden_size": 4096}})"},
    {"mistral_small_3_1_24b", 24011361280,
     R"({"model_type": "mistral3", "text_config": {"model_type": "mistral", "hidden_size": 5120,
        "head_dim": 128, "intermediate_size": 32768, "num_hidden_layers": 40, "vocab_size": 131072}, "vision_config": {"model_type": "pixtral",
        "hidden_act": "silu", "image_size": 1540, "patch_size": 14}})"},
};

class ReleasedModels : public testing::TestWithParam<Released> {};

TEST_P(ReleasedModels, HaveAsManyParametersAsTheHubSays) {
  std::int64_t parameters = 0;
  const nn::ModelSpec spec = declare(Config(parse_json(GetParam().config, GetParam().name)));
  for_each_tensor(spec, [&](const DeclaredTensor& tensor) { parameters += num_elements(tensor.shape); });
  EXPECT_EQ(parameters, GetParam().parameters);
}

INSTANTIATE_TEST_SUITE_P(Hub, ReleasedModels, testing::ValuesIn(kModels),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace farthing::models
