// Patterns fit what they are made for, in every spelling, and nothing else.
#include "plan/module_patterns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "plan/modifier_match.h"

namespace farthing::plan {
namespace {

// A plan for all linears inside the blocks.
QuantizePlan plan_of(const std::string& model) {
  const std::filesystem::path folder = std::filesystem::path(FARTHING_SOURCE_DIR) / model;
  QuantizePlan plan{.spec = models::declare(models::Config(read_json(folder / "config.json")))};
  for (models::ModuleInfo& module : models::linears_of(*plan.spec))
    if (module.block >= 0) plan.linears.push_back({.module = std::move(module)});
  return plan;
}

void expect_exact(const QuantizePlan& plan, const std::vector<std::string>& paths) {
  const std::vector<std::string> patterns = patterns_for(plan, paths);
  for (const models::ModuleInfo& module : models::linears_of(*plan.spec)) {
    const bool is_wanted = std::ranges::find(paths, module.path) != paths.end();
    for (const std::string& name : spellings(*plan.spec, module.path)) {
      const bool fits = std::ranges::any_of(patterns, [&](const std::string& pattern) {
        return scheme::matches(pattern, {.names = {name}, .class_name = ""});
      });
      EXPECT_EQ(fits, is_wanted) << name << " and " << testing::PrintToString(patterns);
    }
  }
}

TEST(ModulePatterns, BlocksShareThemAndFusedNamesFit) {
  const QuantizePlan plan = plan_of("tests/data/families/llama");
  const std::vector<std::string> paths = {
      "model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.k_proj", "model.layers.0.self_attn.v_proj",
      "model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj", "model.layers.1.self_attn.v_proj",
      "model.layers.1.mlp.down_proj"};
  EXPECT_THAT(
      patterns_for(plan, paths),
      testing::ElementsAre(R"(re:(.*\.)?layers\.1\.mlp\.down_proj$)",
                           R"(re:(.*\.)?layers\.(0|1)\.self_attn\.(k_proj|q_proj|v_proj|qkv_proj)$)"));
  expect_exact(plan, paths);
}

TEST(ModulePatterns, APictureTowerIsNotDrawnIn) {
  const QuantizePlan plan = plan_of("models/tiny-llava-21m");
  const std::string block = "model.language_model.layers.0.";
  expect_exact(plan, {block + "self_attn.q_proj", block + "self_attn.k_proj", block + "self_attn.v_proj"});
  expect_exact(plan, {block + "mlp.down_proj", "model.language_model.layers.3.mlp.down_proj"});
}

TEST(ModulePatterns, ExpertsOfABlockAreOne) {
  const QuantizePlan plan = plan_of("tests/data/families/olmoe");
  std::vector<std::string> paths;
  for (const LinearPlan& linear : plan.linears)
    if (linear.module.block == 1 && linear.module.path.find(".experts.") != std::string::npos)
      paths.push_back(linear.module.path);
  ASSERT_GT(paths.size(), 3u);
  EXPECT_EQ(patterns_for(plan, paths).size(), 1u);
  expect_exact(plan, paths);
}

}  // namespace
}  // namespace farthing::plan
