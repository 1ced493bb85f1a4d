// Every decision of a quantization to GGUF before any work: the name, type and place of each tensor in
// llama.cpp's file, its metadata, and what deviates from the wish. Made from headers alone.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/gguf/writer.h"
#include "formats/gguf/mixture.h"
#include "plan/quantize_plan.h"

namespace farthing::plan {

struct GgufTensor {
  std::string name;    // llama.cpp's
  std::string source;  // canonical; empty: `computed` holds the values
  std::string module;  // canonical path of the linear whose weight it is; empty for other tensors
  std::string
      reader;  // canonical path of the linear that multiplies it: `module`, or the head for a tied embedding
  std::vector<std::string> experts;  // linears whose weights lie one after the other; empty: `module` alone
  std::uint32_t type = 0;
  bool carries_codes = false;  // of a quantized source, unchanged
  Shape shape;
  std::int64_t interleaved_heads = 0;  // heads whose rows change places; 0: none do
  float added = 0;                     // to every value
  std::vector<float> computed;
};

/// The weights that a stack of experts consists of, each as a tensor with the stack's name; else `tensor`.
std::vector<GgufTensor> pieces_of(const GgufTensor& tensor);

struct GgufPlan {
  std::string model_name;
  std::string scheme_name;  // "Q4_K_M"
  nn::ModelSpec spec;
  std::vector<GgufTensor> tensors;
  checkpoint::gguf::Metadata metadata;
  std::vector<Deviation> deviations;
  std::vector<std::string> ignored;  // canonical paths of linears that stay plain
  bool needs_calibration = false;
  std::uint64_t bytes_in = 0, bytes_out = 0;  // tensor bytes
  double bits_per_weight = 0;                 // of all matrices
};

struct GgufOptions {
  /// Null: every tensor keeps its own type, and quantized weights keep their codes where a block type has the
  /// same grid.
  const formats::gguf::Mixture* mixture = nullptr;
  std::string model_name;
  std::vector<std::string> ignore;  // patterns of modules that stay as they are
  bool weigh_columns = false;       // by calibration
};

/// Throws kUnsupported for models that llama.cpp has no architecture for, or tensors that it has no name for;
/// without a mixture also for quantized weights that no block type can hold unchanged.
GgufPlan make_gguf_plan(const checkpoint::Checkpoint& checkpoint, const Json& config,
                        const nn::ModelSpec& spec, const GgufOptions& options);

}  // namespace farthing::plan
