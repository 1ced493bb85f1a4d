// What a quantization did, in plain values: the summary, --json, report.html and the model card are all made
// from this.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"

namespace farthing::plan {

struct LayerResult {
  std::string name;    // canonical module path
  std::string method;  // "gptq", "rtn"
  std::string scheme;  // "W4A16"
  double mse = 0;      // mean squared weight error
  double relative_error =
      0;  // with calibration: |x (W - Q)^T| / |x W^T| over the calibration inputs; else |W - Q| / |W|
  double sqnr_db = 0;  // -20 log10(relative_error)
  double seconds = 0;
  double dampening = 0;  // share of the mean diagonal that was added; 0 without a Hessian
  double file_mse = 0;   // against the weight in the source's file, which differs where scales moved
};

/// A scale that moved before a block was quantized.
struct FoldResult {
  std::string transform;             // "smoothquant"
  std::string smooth;                // canonical path of the layer that gave it
  std::vector<std::string> balance;  // linears that took it
  double smallest_scale = 1, largest_scale = 1;

  /// AWQ's: the candidate that won, its loss (mean squared change of the output) and that of plain rounding.
  struct Search {
    double ratio = 0;
    bool duo = false;
    double loss = 0, unscaled_loss = 0;
  };
  std::optional<Search> search;

  Json to_json() const;
  static FoldResult from_json(const Json& json);
};

/// Calibration tokens that a router sent to each expert of a block.
struct ExpertTokens {
  std::string path;  // of the experts, without number: "model.layers.3.mlp.experts"
  std::vector<std::int64_t> tokens;
};

struct QuantizeResult {
  std::string model, scheme, method, format;
  double bits_per_weight = 0;  // of the quantized linears, scales included
  std::uint64_t bytes_in = 0, bytes_out = 0;
  double seconds = 0;
  std::uint64_t peak_host_bytes = 0, peak_device_bytes = 0;
  std::int64_t calibration_samples = 0, calibration_tokens = 0;
  Json calibration;                   // the whole ledger; null without calibration
  std::vector<ExpertTokens> experts;  // of mixtures, with calibration
  std::vector<LayerResult> layers;
  std::vector<FoldResult> folds;
  std::vector<std::string> ignored;
  std::vector<std::pair<std::string, std::string>> deviations;  // (module, what)
  std::string output;
  std::string sha256;  // of the weight files, in order of their names
  std::string recipe;  // as written to recipe.yaml
  std::int64_t resumed_blocks = 0;
  Json mixture;  // where a target chose the schemes: to_json of plan/mixture.h, and what was measured
};

}  // namespace farthing::plan
