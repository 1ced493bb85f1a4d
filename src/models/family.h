// The registry of families and what a declaration says about modules. One file per family in this folder; the
// table of all of them is registry.cc.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "models/config.h"
#include "models/described.h"
#include "nn/declaration.h"
#include "tensor/tensor.h"

namespace farthing::models {

/// One row of the registry.
struct Family {
  std::string_view model_type;  // as in config.json
  std::string_view title;       // for people: "Llama 1/2/3, Vicuna, SmolLM2"
  nn::ModelSpec (*declare)(const Config& config);
  std::string_view other_golden_case = {};

  /// Name of the golden case that backs the family (golden_test.cc).
  std::string_view golden_case() const { return other_golden_case.empty() ? model_type : other_golden_case; }
};

/// Every family, in the order of the documentation.
std::span<const Family> families();

/// Families described in files come before the built-in ones from now on. Not beside calls of `declare` in
/// other threads.
void add_description(FamilyDescription description);

/// True for built-in families and described ones.
bool is_known_family(std::string_view model_type);

/// Declares the model that `config` (a whole config.json) describes. Throws kUnsupported naming the
/// model_type, the closest known one, and what still works (data-free methods).
nn::ModelSpec declare(const Config& config);

/// The same for a checkpoint. Where its config.json does not say whether the head is tied and the checkpoint
/// has none, the embedding serves as head; where its experts may lie in either order, its shapes tell.
nn::ModelSpec declare(const checkpoint::Checkpoint& checkpoint);

/// The text part of a composite model, by the model_type of its own block, or the default where the block has
/// none.
nn::DecoderSpec declare_decoder(const Config& text_config, std::string_view default_model_type,
                                std::string path, std::string lm_head_path);

enum class Role { kText, kVision, kAudio, kProjector, kHead };
std::string_view role_name(Role role);

/// One linear of the model as plans, recipes and inspect see it.
struct ModuleInfo {
  std::string path;        // canonical: "model.layers.3.self_attn.q_proj"
  std::string class_name;  // "Linear" (or "Conv1D")
  Role role = Role::kText;
  std::int64_t block = -1;        // index of the decoder block, -1 outside
  std::int64_t audio_block = -1;  // of the block in the tower of sounds, -1 outside
  std::int64_t in_features = 0, out_features = 0;
  std::string input_group;                                   // linears with the same one share their input
  std::vector<std::pair<std::string, std::string>> parents;  // enclosing (path, class name), outermost first
};

/// All linears in computing order, the picture's part first.
std::vector<ModuleInfo> linears_of(const nn::ModelSpec& spec);

/// A scale s that can move from the output of `smooth` into the inputs of `balance` without changing the
/// model: norm -> q, k, v; v -> o; norm -> gate, up; up -> down. Where `smooth` is a linear with more rows
/// than s (gate and up in one), s belongs to the last ones. A norm's weight w becomes (w + weight_offset) / s
/// - weight_offset; biases are divided too.
struct FoldingPair {
  std::string smooth;                // module path of a norm or linear
  std::vector<std::string> balance;  // linears that read it
  float weight_offset = 0.0f;        // 1 for the norms of Gemma
};
std::vector<FoldingPair> folding_pairs_of(const nn::ModelSpec& spec);

/// A tensor that the declaration needs in the file.
struct DeclaredTensor {
  std::string name;  // canonical
  Shape shape;       // as a dense file has it
  std::string
      module;  // of a linear or embedding, whose weight may be quantized instead; empty for other tensors
};
/// Calls `visit` for every tensor, in the order of the modules.
void for_each_tensor(const nn::ModelSpec& spec, const std::function<void(const DeclaredTensor&)>& visit);

/// Canonical name of a tensor or module of the file, by the first rule whose prefix fits; the name itself
/// when none does.
std::string canonical_name(const nn::ModelSpec& spec, std::string_view name);

}  // namespace farthing::models
