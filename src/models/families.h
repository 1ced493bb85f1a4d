// One declaring function per family; each is in the file of its name.
#pragma once

#include "models/config.h"
#include "nn/declaration.h"

namespace farthing::models {

nn::ModelSpec declare_bloom(const Config& config);
nn::ModelSpec declare_cohere(const Config& config);
nn::ModelSpec declare_falcon(const Config& config);
nn::ModelSpec declare_gemma(const Config& config);
nn::ModelSpec declare_gemma2(const Config& config);
nn::ModelSpec declare_gemma3(const Config& config);
nn::ModelSpec declare_gemma3_text(const Config& config);
nn::ModelSpec declare_glm(const Config& config);
nn::ModelSpec declare_glm4(const Config& config);
nn::ModelSpec declare_gpt2(const Config& config);
nn::ModelSpec declare_gpt_neox(const Config& config);
nn::ModelSpec declare_gptj(const Config& config);
nn::ModelSpec declare_granite(const Config& config);
nn::ModelSpec declare_idefics3(const Config& config);
nn::ModelSpec declare_internvl(const Config& config);
nn::ModelSpec declare_llama(const Config& config);
nn::ModelSpec declare_llava(const Config& config);
nn::ModelSpec declare_llava_next(const Config& config);
nn::ModelSpec declare_mistral(const Config& config);
nn::ModelSpec declare_mistral3(const Config& config);
nn::ModelSpec declare_mixtral(const Config& config);
nn::ModelSpec declare_mllama(const Config& config);
nn::ModelSpec declare_mpt(const Config& config);
nn::ModelSpec declare_olmo2(const Config& config);
nn::ModelSpec declare_opt(const Config& config);
nn::ModelSpec declare_paligemma(const Config& config);
nn::ModelSpec declare_phi(const Config& config);
nn::ModelSpec declare_phi3(const Config& config);
nn::ModelSpec declare_qwen2(const Config& config);
nn::ModelSpec declare_qwen2_5_vl(const Config& config);
nn::ModelSpec declare_qwen2_moe(const Config& config);
nn::ModelSpec declare_qwen2_vl(const Config& config);
nn::ModelSpec declare_qwen3(const Config& config);
nn::ModelSpec declare_qwen3_moe(const Config& config);
nn::ModelSpec declare_qwen3_vl(const Config& config);
nn::ModelSpec declare_smollm3(const Config& config);
nn::ModelSpec declare_smolvlm(const Config& config);
nn::ModelSpec declare_stablelm(const Config& config);
nn::ModelSpec declare_starcoder2(const Config& config);

}  // namespace farthing::models
