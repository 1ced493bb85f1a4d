// Every decision of a quantization before any work: which linears, by which scheme and method, in which
// order, what will be written, and what deviates from the wish. Made from headers alone in the first second.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "formats/weight_format.h"
#include "models/family.h"
#include "models/tensor_part.h"
#include "plan/recipe.h"

namespace farthing::plan {

/// What happens to one linear.
struct LinearPlan {
  models::ModuleInfo module;  // canonical names
  std::string file_module;    // the path as the file spells it: what is written
  std::string source_tensor;  // the file's tensor that holds the weight (the embedding's, for a tied head)
  bool transposed = false;    // stored [in, out]
  std::optional<models::TensorPart> part;  // of the source tensor, where experts lie together in it
  DType dtype = DType::kBF16;              // of the source weight
  DType scale_dtype = DType::kBF16;        // as the format wants it
  Method method = Method::kRtn;
  scheme::Scheme scheme;
  GptqSettings gptq;

  /// True where calibration must find numbers for what enters.
  bool has_static_input() const {
    return scheme.input_activations && scheme.input_activations->dynamic != scheme::Dynamic::kDynamic;
  }

  /// Whether calibration must see its inputs in the original model beside those in the quantized one.
  bool pairs_inputs() const { return method == Method::kGptq && gptq.gptaq_alpha > 0; }
};

/// Linears that are quantized after the same calibration pass.
struct Step {
  std::vector<std::size_t> linears;  // indices into QuantizePlan::linears
};

/// A scale that calibration finds and that moves inside a block before its linears are quantized.
struct FoldPlan {
  std::size_t transform = 0;          // which finds it: index into Recipe::transforms
  models::FoldingPair pair;           // canonical paths
  std::vector<std::string> measured;  // linears of pair.balance whose weights decide
};

/// A tensor that folding changes and that is no quantized weight: written by its block instead of copied.
struct RewrittenTensor {
  std::string name;         // canonical
  std::string file_name;    // in the result
  std::string linear;       // whose weight it is; empty for norms and biases
  bool transposed = false;  // stored [in, out]
};

/// A block of the decoder or of the tower of sounds (or, with index -1, what lies outside of all of them) and
/// the steps inside it.
struct BlockPlan {
  std::int64_t index = -1;
  bool is_audio = false;  // of the tower of sounds
  std::string path;
  std::vector<FoldPlan> folds;  // before the steps
  std::vector<RewrittenTensor> rewritten;
  std::vector<Step> steps;
  std::string attention;       // canonical path of the attention whose cache is quantized; else empty
  std::string file_attention;  // as the file spells it
  DType dtype = DType::kBF16;  // of the cache's scales
};

struct Deviation {
  std::string module;
  std::string what;
};

/// A tensor of the result that is cut out of one of the source: what is not quantized of experts that lay
/// together.
struct CutTensor {
  std::string name;  // in the result
  std::string source_tensor;
  models::TensorPart part;
};

struct QuantizePlan {
  std::string model_name;             // last part of the folder's name
  std::string scheme_name;            // "W4A16", or "mixed"
  std::string method;                 // "gptq", "rtn", or "mixed"
  std::string reason;                 // why this method
  std::optional<nn::ModelSpec> spec;  // nothing for an unknown family: data-free methods only
  Recipe recipe;
  std::string format;
  std::vector<LinearPlan> linears;
  std::vector<BlockPlan>
      blocks;  // data-free plans have one block per decoder block too: it is the unit of the journal
  std::vector<std::string> ignored;  // canonical paths of linears that stay as they are
  std::vector<Deviation> deviations;
  std::vector<std::string> notes;  // what is good to know and no deviation
  bool needs_calibration = false;
  bool unties_head = false;
  std::vector<checkpoint::TensorPlan> tensors;  // everything that will be written, in order
  std::vector<std::string> copied;              // tensors of the source that are copied byte for byte
  std::vector<CutTensor> cut;
  formats::ModelQuantization quantization;  // for config.json
  std::uint64_t bytes_in = 0;               // tensor bytes of the source
  std::uint64_t bytes_out = 0;              // tensor bytes of the result
  double bits_per_weight = 0;               // of the quantized linears, scales included
  std::int64_t quantized_parameters = 0;

  /// Whether blocks of the tower of sounds change.
  bool quantizes_sounds() const;

  /// Whether calibration must also see the inputs of quantized blocks, beside those of the original model
  /// that folding looks at.
  bool follows_quantized() const;

  /// Whether scales move inside some block.
  bool folds() const;

  /// Whether some linear pairs its inputs, so that the original model's blocks stand beside the quantized
  /// ones.
  bool pairs_inputs() const;

  /// The tensors of a block's quantized cache; none without one.
  std::vector<checkpoint::TensorPlan> cache_tensors(const BlockPlan& block,
                                                    const formats::WeightWriter& writer) const;
};

struct PlanOptions {
  std::string format;  // empty: compressed-tensors, or bitsandbytes for its schemes
  std::string model_name;
};

/// Throws kInvalidArgument for patterns that match nothing (with names that would), kUnsupported for what the
/// format cannot hold.
QuantizePlan make_plan(const checkpoint::Checkpoint& checkpoint, const Json& config,
                       std::optional<nn::ModelSpec> spec, Recipe recipe, const PlanOptions& options);

}  // namespace farthing::plan
