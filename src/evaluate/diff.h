// How far apart the weights of two checkpoints are, whatever formats they are in.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/thread_pool.h"

namespace farthing::evaluate {

struct WeightDifference {
  std::string name;  // as the first checkpoint's family spells it: "model.layers.0.mlp.up_proj.weight"
  double relative_error = 0;  // root of the sum of squared differences over that of the first's values
  double sqnr_db = 0;         // -20 log10(relative_error); 300 when nothing differs
  double max_abs = 0;
};

struct Differences {
  std::vector<WeightDifference> rows;  // by name
  std::vector<std::string> only_in_a, only_in_b;
};

/// Compares every weight of `a` with that of the same name in `b`, dequantized as their own loaders would.
/// `pattern`: a regular expression that names must contain; empty fits all. Throws kInvalidArgument when
/// nothing is in common, kCorruptData when a weight has two shapes.
Differences diff(const std::filesystem::path& a, const std::filesystem::path& b, const std::string& pattern,
                 ThreadPool& pool, const CancelToken& cancel);

}  // namespace farthing::evaluate
