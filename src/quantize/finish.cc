#include "quantize/finish.h"

#include <algorithm>

#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "base/sha256.h"
#include "checkpoint/staging.h"
#include "formats/weight_format.h"
#include "models/tokenizer_files.h"
#include "plan/transform_recipe.h"

namespace farthing::quantize {
namespace {

namespace fs = std::filesystem;

std::string quoted_list(const std::vector<std::string>& names) {
  return Json(names).dump();
}

std::string actorder_word(scheme::ActivationOrder order) {
  switch (order) {
    case scheme::ActivationOrder::kNone:
      return "null";
    case scheme::ActivationOrder::kGroup:
      return "group";
    case scheme::ActivationOrder::kWeight:
      return "static";
  }
  return "null";
}

// A head that was quantized is no longer the embedding.
void untie(Json& config) {
  config["tie_word_embeddings"] = false;
  if (config.contains("text_config") && config["text_config"].is_object())
    config["text_config"]["tie_word_embeddings"] = false;
}

}  // namespace

std::string recipe_text(const plan::QuantizePlan& plan) {
  if (!plan.recipe.text.empty()) return plan.recipe.text;
  std::string text = "default_stage:\n  default_modifiers:\n";
  for (const plan::Transform& transform : plan.recipe.transforms)
    text += plan::recipe_lines(transform, "    ");
  for (const plan::Modifier& modifier : plan.recipe.modifiers) {
    text += fmt::format("    {}:\n", modifier.name);
    if (modifier.kv_cache_scheme)
      text += fmt::format("      kv_cache_scheme: {}\n", scheme::to_json(*modifier.kv_cache_scheme).dump());
    if (!modifier.groups.empty()) text += "      config_groups:\n";
    for (const scheme::ConfigGroup& group : modifier.groups)
      text += fmt::format("        {}: {}\n", group.name, scheme::to_json(group).dump());
    text += fmt::format("      ignore: {}\n", quoted_list(modifier.ignore));
    if (!modifier.sequential_targets.empty())
      text += fmt::format("      sequential_targets: {}\n", quoted_list(modifier.sequential_targets));
    if (modifier.method == plan::Method::kGptq) {
      text += fmt::format("      block_size: {}\n      dampening_frac: {}\n", modifier.gptq.block_size,
                          modifier.gptq.dampening_frac);
      text += fmt::format("      actorder: {}\n",
                          actorder_word(modifier.gptq.actorder.value_or(scheme::ActivationOrder::kWeight)));
      // Words that llm-compressor does not know.
      if (modifier.gptq.gptaq_alpha > 0)
        text += fmt::format("      # gptaq_alpha: {}\n", modifier.gptq.gptaq_alpha);
      if (modifier.gptq.refine_passes > 0)
        text += fmt::format("      # refine_passes: {}\n", modifier.gptq.refine_passes);
    }
  }
  return text;
}

void finish_directory(const plan::QuantizePlan& plan, const checkpoint::Checkpoint& source,
                      const fs::path& directory) {
  checkpoint::copy_side_files(source.directory(), directory,
                              {"config.json", "recipe.yaml", "report.json", "report.html",
                               "quantize_config.json", "quant_config.json"});
  Json config = source.config();
  if (plan.unties_head) untie(config);
  const auto writer = formats::writer_for(plan.format);
  config["quantization_config"] = writer->quantization_config(plan.quantization);
  write_text_atomically(directory / "config.json", config.dump(2) + "\n");
  for (const auto& [name, content] : writer->side_files(plan.quantization))
    write_text_atomically(directory / name, content.dump(2) + "\n");
  write_text_atomically(directory / "recipe.yaml", recipe_text(plan));
}

void write_tokenizer(const checkpoint::Checkpoint& source, const fs::path& directory, Reporter& reporter) {
  if (source.files().front().extension() != ".gguf") return;
  if (path_exists(directory / "tokenizer.json") || path_exists(directory / "tokenizer.model")) return;
  try {
    for (const auto& [name, text] : models::tokenizer_files(source.files().front()))
      write_text_atomically(directory / name, text);
  } catch (const Error& error) {
    if (error.code() != Code::kUnsupported && error.code() != Code::kNotFound) throw;
    reporter.warn(fmt::format("no tokenizer was written: {}; {}", error.what(), error.hint()));
  }
}

std::string sha256_of_weights(const fs::path& directory) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (files.size() == 1) return sha256_of_file(files.front());
  Sha256 hash;
  for (const fs::path& file : files)
    hash.update(fmt::format("{}  {}\n", sha256_of_file(file), file.filename().string()));
  return hash.finish();
}

}  // namespace farthing::quantize
