// The registry of families and what a declaration says about modules. One file per family in this folder; the table of all
// of them is registry.cc.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "nn/declaration.h"

namespace farthing::models {

/// Reads a config.json block with the family's own defaults: a missing or null key means the class default.
class Config {
 public:
  explicit Config(Json values, std::string origin = "config.json");

  bool has(std::string_view key) const;  // present and not null
  std::int64_t integer(std::string_view key, std::optional<std::int64_t> fallback = {}) const;
  double number(std::string_view key, std::optional<double> fallback = {}) const;
  bool flag(std::string_view key, bool fallback) const;
  std::string text(std::string_view key, std::string_view fallback) const;
  const Json& json() const { return values_; }
  /// A nested block such as "text_config"; an empty one when absent.
  Config child(std::string_view key) const;
  const std::string& origin() const { return origin_; }

 private:
  Json values_;
  std::string origin_;
};

/// One row of the registry.
struct Family {
  std::string_view model_type;  // as in config.json
  std::string_view title;       // for people: "Llama 1/2/3, Vicuna, SmolLM2"
  nn::ModelSpec (*declare)(const Config& config);
};

/// Every family, in the order of the documentation.
std::span<const Family> families();

/// Declares the model that `config` (a whole config.json) describes. Throws kUnsupported naming the model_type, the closest known
/// one, and what still works (data-free methods).
nn::ModelSpec declare(const Config& config);

/// For the text part of a composite model: declares by the block's own model_type.
nn::DecoderSpec declare_decoder(const Config& text_config, std::string path, std::string lm_head_path);

enum class Role { kText, kVision, kProjector, kHead };
std::string_view role_name(Role role);

/// One linear of the model as plans, recipes and inspect see it.
struct ModuleInfo {
  std::string path;         // canonical: "model.layers.3.self_attn.q_proj"
  std::string class_name;   // "Linear" (or "Conv1D")
  Role role = Role::kText;
  std::int64_t block = -1;  // index of the decoder block, -1 outside
  std::int64_t in_features = 0, out_features = 0;
  std::string input_group;  // linears with the same one share their input
  std::vector<std::pair<std::string, std::string>> parents;  // enclosing (path, class name), outermost first
};

/// All linears, in computing order.
std::vector<ModuleInfo> linears_of(const nn::ModelSpec& spec);

/// A scale that can move from the output of `smooth` into the inputs of `balance` without changing the model: norm -> q, k, v; v -> o;
/// norm -> gate, up; up -> down.
struct FoldingPair {
  std::string smooth;                // module path of a norm or linear
  std::vector<std::string> balance;  // linears that read it
};
std::vector<FoldingPair> folding_pairs_of(const nn::ModelSpec& spec);

/// Canonical name of a tensor or module of the file, by the first rule whose prefix fits; the name itself when none does.
std::string canonical_name(const nn::ModelSpec& spec, std::string_view name);

}  // namespace farthing::models
