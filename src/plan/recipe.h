// What the user wants done, before any model is known: llm-compressor's recipes (YAML or JSON, stages or
// flat), GPTQConfig, AwqConfig, Farthing's short form, and the flags of the command line, all in one
// structure.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "plan/transform.h"
#include "scheme/scheme.h"

namespace farthing::plan {

enum class Method { kRtn, kGptq };
std::string_view method_name(Method method);  // "rtn", "gptq"

/// How GPTQ is to be run; the words of llm-compressor's GPTQModifier and of GPTQConfig.
struct GptqSettings {
  std::int64_t block_size = 128;
  double dampening_frac = 0.01;
  std::optional<scheme::ActivationOrder> actorder;  // none given: static (weight), as llm-compressor does
  double gptaq_alpha = 0;                           // GPTAQ's share of the inputs' shift; 0: plain GPTQ
  int refine_passes = 0;                            // of methods::refine over what GPTQ left
  bool group_aware_order = false;                   // as methods::GptqOptions
  bool refresh_scales = false;                      // as methods::GptqOptions
};

/// One modifier of a recipe: schemes for sets of modules, and the method that finds the codes.
struct Modifier {
  std::string name;  // "GPTQModifier", for messages and the model card
  Method method = Method::kRtn;
  std::vector<scheme::ConfigGroup> groups;
  std::vector<std::string> ignore;
  bool family_ignore = false;  // and what the family leaves alone
  std::vector<std::string> sequential_targets;
  GptqSettings gptq;
  std::optional<scheme::QuantizationArgs> kv_cache_scheme;
};

/// Calibration wishes of the short form; flags of the command line go before them.
struct RecipeCalibration {
  std::optional<std::string> source, collator, question, system;
  std::optional<std::int64_t> samples, length, seed;
};

struct Recipe {
  std::string origin;                 // file name or "command line"
  std::vector<Transform> transforms;  // applied to a block before its modifiers
  std::vector<Modifier> modifiers;
  RecipeCalibration calibration;
  std::string format;  // what the result is to be stored as, where the recipe says so
  std::string text;    // as it will be written to recipe.yaml
};

/// Reads a recipe file. Throws kInvalidArgument naming file and line for YAML mistakes, unknown modifiers
/// (with the known ones) and unknown keys; kUnsupported for modifiers that exist elsewhere and not here.
Recipe read_recipe(const std::filesystem::path& file);
Recipe parse_recipe(const std::string& yaml, const std::string& origin);

/// Whether the codes are always the nearest ones, so that no method but rounding applies.
bool is_data_free(const scheme::Scheme& scheme);

/// The methods that --method takes for this scheme, transforms of the weights before rounding among them.
std::vector<std::string_view> methods_for(const scheme::Scheme& scheme);

/// What the flags say when there is no recipe.
struct RecipeFlags {
  std::optional<std::string> scheme;  // W4A16 when nothing is said
  /// "auto": gptq for integer weights of 2 to 4 bits, rtn for the rest; or transforms and a method of
  /// rounding, joined by "+" (rtn where none is named): "smoothquant+gptq". "gptaq": gptq with `gptaq`.
  std::string method = "auto";
  std::optional<int> bits;
  std::optional<std::int64_t> group_size;
  std::optional<bool> symmetric;
  std::optional<std::string> actorder;
  std::optional<std::string> observer;
  std::optional<double> dampening_frac;
  std::optional<std::int64_t> block_size;
  std::optional<int> refine_passes;
  bool gptaq = false;  // with the paper's share, unless gptaq_alpha says another
  std::optional<double> gptaq_alpha;
  std::optional<double> smoothing_strength;
  std::vector<std::string> targets = {"Linear"};
  std::vector<std::string> ignore;  // empty: the family's own
  std::vector<std::string> sequential_targets;
};

/// Throws kInvalidArgument for unknown schemes or methods and for flags that contradict each other.
Recipe recipe_from_flags(const RecipeFlags& flags, bool family_is_known);

/// Changes every group of a recipe by the flags given beside it (--bits, --group-size, --symmetric,
/// --actorder, --ignore ...).
void apply_flags(Recipe& recipe, const RecipeFlags& flags);

}  // namespace farthing::plan
