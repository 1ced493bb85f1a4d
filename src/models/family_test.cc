#include "models/family.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"

namespace farthing::models {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

nn::ModelSpec declare_text(const char* text) {
  return declare(Config(parse_json(text, "test")));
}

constexpr char kLlama[] =
    R"({"model_type": "llama", "hidden_size": 64, "intermediate_size": 88, "vocab_size": 320,
                              "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2})";
constexpr char kLlava[] = R"({"model_type": "llava", "image_token_index": 3,
    "text_config": {"model_type": "mistral", "hidden_size": 64, "intermediate_size": 88, "vocab_size": 320,
                    "num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2},
    "vision_config": {"model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 64,
                      "num_attention_heads": 4, "num_hidden_layers": 3, "image_size": 16, "patch_size": 8}})";

const ModuleInfo& module_at(const std::vector<ModuleInfo>& modules, std::string_view path) {
  const auto found = std::find_if(modules.begin(), modules.end(),
                                  [&](const ModuleInfo& module) { return module.path == path; });
  if (found == modules.end()) throw std::runtime_error("no module " + std::string(path));
  return *found;
}

TEST(Family, LinearsOfLlama) {
  const std::vector<ModuleInfo> modules = linears_of(declare_text(kLlama));
  EXPECT_EQ(modules.size(), 2u * 7u + 1u);
  const ModuleInfo& up = module_at(modules, "model.layers.1.mlp.up_proj");
  EXPECT_EQ(up.class_name, "Linear");
  EXPECT_EQ(up.role, Role::kText);
  EXPECT_EQ(up.block, 1);
  EXPECT_EQ(up.in_features, 64);
  EXPECT_EQ(up.out_features, 88);
  EXPECT_EQ(up.input_group, "model.layers.1.mlp.gate_proj");
  EXPECT_THAT(up.parents, ElementsAre(Pair("", "LlamaForCausalLM"), Pair("model", "LlamaModel"),
                                      Pair("model.layers.1", "LlamaDecoderLayer"),
                                      Pair("model.layers.1.mlp", "LlamaMLP")));
  EXPECT_EQ(modules.back().path, "lm_head");
  EXPECT_EQ(modules.back().role, Role::kHead);
  EXPECT_EQ(modules.back().block, -1);
}

TEST(Family, RolesAndDefaultsOfLlava) {
  const nn::ModelSpec spec = declare_text(kLlava);
  const std::vector<ModuleInfo> modules = linears_of(spec);
  EXPECT_EQ(module_at(modules, "model.vision_tower.encoder.layers.0.mlp.fc1").role, Role::kVision);
  EXPECT_EQ(module_at(modules, "model.vision_tower.encoder.layers.0.mlp.fc1").block, -1);
  EXPECT_EQ(module_at(modules, "model.multi_modal_projector.linear_1").role, Role::kProjector);
  EXPECT_EQ(module_at(modules, "model.language_model.layers.0.self_attn.q_proj").block, 0);
  EXPECT_THAT(spec.sequential_targets, ElementsAre("MistralDecoderLayer"));
  EXPECT_THAT(spec.default_ignore,
              ElementsAre("re:.*lm_head", "re:.*vision_tower.*", "re:.*multi_modal_projector.*"));
}

TEST(Family, EverySpellingOfLlavaIsOneModel) {
  const nn::ModelSpec spec = declare_text(kLlava);
  for (const char* name : {"vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight",
                           "vision_tower.encoder.layers.0.mlp.fc1.weight",
                           "model.vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight",
                           "model.vision_tower.encoder.layers.0.mlp.fc1.weight"})
    EXPECT_EQ(canonical_name(spec, name), "model.vision_tower.encoder.layers.0.mlp.fc1.weight");
  EXPECT_EQ(canonical_name(spec, "language_model.model.layers.0.mlp.up_proj"),
            "model.language_model.layers.0.mlp.up_proj");
  EXPECT_EQ(canonical_name(spec, "language_model.lm_head"), "lm_head");
  EXPECT_EQ(canonical_name(spec, "lm_head.weight"), "lm_head.weight");
}

TEST(Family, SparseConfigsUseTheClassDefaults) {
  const nn::ModelSpec vicuna =
      declare_text(R"({"model_type": "llava", "text_config": {"vocab_size": 32064}})");
  EXPECT_EQ(vicuna.decoder.blocks.size(), 32u);
  EXPECT_EQ(vicuna.decoder.hidden_size, 4096);
  EXPECT_EQ(vicuna.image_token_id, 32000);
  EXPECT_EQ(vicuna.vision->hidden_size, 1024);
  EXPECT_EQ(vicuna.vision->num_positions(), 577);
  EXPECT_EQ(vicuna.vision->hidden_state_index(vicuna.vision->feature_layers.front()), 23);
  const nn::ModelSpec mistral = declare_text(R"({"model_type": "mistral"})");
  EXPECT_EQ(mistral.decoder.blocks.front().attention.sliding_window, 4096);
  EXPECT_EQ(mistral.decoder.blocks.front().attention.num_key_value_heads, 8);
  const nn::ModelSpec without_window = declare_text(R"({"model_type": "mistral", "sliding_window": null})");
  EXPECT_EQ(without_window.decoder.blocks.front().attention.sliding_window, 0);
}

TEST(Family, EveryFamilyDeclaresItselfFromDefaults) {
  for (const Family& family : families()) {
    SCOPED_TRACE(family.model_type);
    // A square of tokens that divides the default tower's patches, and an even part of a head to rotate: the
    // defaults of Gemma 3 and GLM 4.5 are not.
    const nn::ModelSpec spec = family.declare(Config(Json{
        {"model_type", std::string(family.model_type)}, {"mm_tokens_per_image", 49}, {"head_dim", 128}}));
    EXPECT_EQ(spec.family, family.model_type);
    EXPECT_FALSE(spec.architecture.empty());
    EXPECT_FALSE(spec.sequential_targets.empty());
    EXPECT_FALSE(spec.default_ignore.empty());
    EXPECT_FALSE(spec.decoder.class_name.empty());
    EXPECT_FALSE(folding_pairs_of(spec).empty());
    for (const ModuleInfo& linear : linears_of(spec))
      for (const auto& [path, class_name] : linear.parents) ASSERT_FALSE(class_name.empty()) << linear.path;
  }
}

TEST(Family, TheReadmeNamesEveryFamily) {
  const std::string readme = read_text(std::filesystem::path(FARTHING_SOURCE_DIR) / "README.md");
  for (const Family& family : families()) EXPECT_THAT(readme, HasSubstr(std::string(family.model_type)));
}

TEST(Family, FoldingPairsOfLlama) {
  const std::vector<FoldingPair> pairs = folding_pairs_of(declare_text(kLlama));
  ASSERT_EQ(pairs.size(), 2u * 3u);  // grouped heads share their values: v -> o does not fold
  EXPECT_EQ(pairs[0].smooth, "model.layers.0.input_layernorm");
  EXPECT_THAT(pairs[0].balance,
              ElementsAre("model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj",
                          "model.layers.0.self_attn.v_proj"));
  EXPECT_EQ(pairs[2].smooth, "model.layers.0.mlp.up_proj");
  EXPECT_THAT(pairs[2].balance, ElementsAre("model.layers.0.mlp.down_proj"));
}

TEST(Family, UnknownArchitectureNamesTheNearest) {
  try {
    declare_text(R"({"model_type": "lama"})");
    FAIL() << "declared";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUnsupported);
    EXPECT_THAT(error.what(), HasSubstr("lama"));
    EXPECT_THAT(error.hint(), HasSubstr("did you mean llama"));
  }
  EXPECT_THROW(declare_text(R"({})"), Error);
  EXPECT_THROW(declare_text(R"({"model_type": 3})"), Error);
}

TEST(Family, NonsenseConfigsAreRefused) {
  for (const char* text : {
           R"({"model_type": "llama", "num_attention_heads": 0})",
           R"({"model_type": "llama", "num_attention_heads": 7})",
           R"({"model_type": "llama", "num_key_value_heads": 5})",
           R"({"model_type": "llama", "num_key_value_heads": 64})",
           R"({"model_type": "llama", "head_dim": 7})",
           R"({"model_type": "llama", "hidden_size": -1})",
           R"({"model_type": "llama", "num_hidden_layers": 1000000000})",
           R"({"model_type": "llama", "hidden_act": "gelo"})",
           R"({"model_type": "llama", "architectures": "LlamaForCausalLM"})",
           R"({"model_type": "mistral", "sliding_window": -4})",
           R"({"model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 3})",
           R"({"model_type": "mixtral", "num_local_experts": 1000000})",
           R"({"model_type": "gemma2", "query_pre_attn_scalar": 0})",
           R"({"model_type": "gemma3_text", "layer_types": ["full_attention"]})",
           R"({"model_type": "gemma3_text", "sliding_window_pattern": 0})",
           R"({"model_type": "smollm3", "no_rope_layers": [1]})",
           R"({"model_type": "gpt2", "n_head": 5})",
           R"({"model_type": "llava", "vision_feature_layer": 25})",
           R"({"model_type": "llava", "vision_feature_layer": []})",
           R"({"model_type": "llava", "vision_feature_select_strategy": "cls"})",
           R"({"model_type": "llava", "vision_config": {"model_type": "sam"}})",
           R"({"model_type": "llava", "vision_config": {"patch_size": 0}})",
           R"({"model_type": "llava", "text_config": {"model_type": "llava"}})",
           R"({"model_type": "llava", "text_config": {"model_type": "unknown"}})",
           R"({"model_type": "llava", "text_config": []})",
       })
    EXPECT_THROW(declare_text(text), Error) << text;
}

}  // namespace
}  // namespace farthing::models
