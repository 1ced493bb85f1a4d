// Perplexity as the GPTQ paper measures it: the text is encoded once, cut into windows without overlap, the
// tail dropped, and every window scored on all but its first token. With a base model, the distance between
// both is measured on the same positions.
#pragma once

#include <optional>

#include "base/cancel.h"
#include "base/reporter.h"
#include "evaluate/divergence.h"
#include "models/model.h"

namespace farthing::evaluate {

struct PerplexityOptions {
  std::int64_t window = 2048;
  std::int64_t limit = 0;  // windows; 0: all
};

struct Perplexity {
  double perplexity = 0;
  double nll = 0;           // sum over targets, natural logarithm
  std::int64_t tokens = 0;  // targets
  std::int64_t window = 0;
  std::vector<double> window_nll;
  std::optional<Divergence> divergence;  // when a base was given
};

/// Throws kInvalidArgument when the text is shorter than one window or the window longer than the model's
/// positions.
Perplexity measure_perplexity(models::Model& model, models::Model* base, std::span<const std::int32_t> ids,
                              const PerplexityOptions& options, ThreadPool& pool, Reporter& reporter,
                              const CancelToken& cancel);

}  // namespace farthing::evaluate
