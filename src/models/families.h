// One declaring function per family; each is in the file of its name.
#pragma once

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

nn::ModelSpec declare_arcee(const Config& config);
nn::ModelSpec declare_bloom(const Config& config);
nn::ModelSpec declare_cohere(const Config& config);
nn::ModelSpec declare_cohere2(const Config& config);
nn::ModelSpec declare_deepseek_v2(const Config& config);
nn::ModelSpec declare_deepseek_v3(const Config& config);
nn::ModelSpec declare_dots1(const Config& config);
nn::ModelSpec declare_ernie4_5(const Config& config);
nn::ModelSpec declare_ernie4_5_moe(const Config& config);
nn::ModelSpec declare_exaone4(const Config& config);
nn::ModelSpec declare_falcon(const Config& config);
nn::ModelSpec declare_gemma(const Config& config);
nn::ModelSpec declare_gemma2(const Config& config);
nn::ModelSpec declare_gemma3(const Config& config);
nn::ModelSpec declare_gemma3_text(const Config& config);
nn::ModelSpec declare_glm(const Config& config);
nn::ModelSpec declare_glm4(const Config& config);
nn::ModelSpec declare_glm4_moe(const Config& config);
nn::ModelSpec declare_glm4_moe_lite(const Config& config);
nn::ModelSpec declare_gpt2(const Config& config);
nn::ModelSpec declare_gpt_bigcode(const Config& config);
nn::ModelSpec declare_gpt_neo(const Config& config);
nn::ModelSpec declare_gpt_neox(const Config& config);
nn::ModelSpec declare_gpt_oss(const Config& config);
nn::ModelSpec declare_gptj(const Config& config);
nn::ModelSpec declare_granite(const Config& config);
nn::ModelSpec declare_granitemoe(const Config& config);
nn::ModelSpec declare_granitemoeshared(const Config& config);
nn::ModelSpec declare_helium(const Config& config);
nn::ModelSpec declare_hunyuan_v1_dense(const Config& config);
nn::ModelSpec declare_hunyuan_v1_moe(const Config& config);
nn::ModelSpec declare_idefics3(const Config& config);
nn::ModelSpec declare_internvl(const Config& config);
nn::ModelSpec declare_llama(const Config& config);
nn::ModelSpec declare_llama4(const Config& config);
nn::ModelSpec declare_llama4_text(const Config& config);
nn::ModelSpec declare_llava(const Config& config);
nn::ModelSpec declare_llava_next(const Config& config);
nn::ModelSpec declare_llava_onevision(const Config& config);
nn::ModelSpec declare_minicpm3(const Config& config);
nn::ModelSpec declare_minimax_m2(const Config& config);
nn::ModelSpec declare_ministral(const Config& config);
nn::ModelSpec declare_ministral3(const Config& config);
nn::ModelSpec declare_mistral(const Config& config);
nn::ModelSpec declare_mistral3(const Config& config);
nn::ModelSpec declare_mixtral(const Config& config);
nn::ModelSpec declare_mllama(const Config& config);
nn::ModelSpec declare_mpt(const Config& config);
nn::ModelSpec declare_nemotron(const Config& config);
nn::ModelSpec declare_olmo(const Config& config);
nn::ModelSpec declare_olmo2(const Config& config);
nn::ModelSpec declare_olmo3(const Config& config);
nn::ModelSpec declare_olmoe(const Config& config);
nn::ModelSpec declare_opt(const Config& config);
nn::ModelSpec declare_paligemma(const Config& config);
nn::ModelSpec declare_phi(const Config& config);
nn::ModelSpec declare_phi3(const Config& config);
nn::ModelSpec declare_qwen2(const Config& config);
nn::ModelSpec declare_qwen2_5_vl(const Config& config);
nn::ModelSpec declare_qwen2_audio(const Config& config);
nn::ModelSpec declare_qwen2_moe(const Config& config);
nn::ModelSpec declare_qwen2_vl(const Config& config);
nn::ModelSpec declare_qwen3(const Config& config);
nn::ModelSpec declare_qwen3_moe(const Config& config);
nn::ModelSpec declare_qwen3_omni_moe(const Config& config);
nn::ModelSpec declare_qwen3_omni_moe_thinker(const Config& config);
nn::ModelSpec declare_qwen3_vl(const Config& config);
nn::ModelSpec declare_qwen3_vl_moe(const Config& config);
nn::ModelSpec declare_seed_oss(const Config& config);
nn::ModelSpec declare_smollm3(const Config& config);
nn::ModelSpec declare_smolvlm(const Config& config);
nn::ModelSpec declare_stablelm(const Config& config);
nn::ModelSpec declare_starcoder2(const Config& config);
nn::ModelSpec declare_whisper(const Config& config);

}  // namespace farthing::models
