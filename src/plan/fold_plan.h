// Which scales move before the weights are quantized: the pairs that a family declares, as far as transforms
// of the recipe want them.
#pragma once

#include <map>
#include <span>

#include "plan/quantize_plan.h"

namespace farthing::plan {

/// Where a model's weights lie, by canonical names.
struct WeightPlaces {
  const std::map<std::string, std::string>& files;  // the file's name of every tensor
  const models::TensorParts& parts;                 // of experts that lie together
  std::span<const models::ModuleInfo> modules;      // all linears
};

/// Gives every block of `plan`, whose linears and blocks are known, its folds and the tensors that these
/// change beside quantized weights. What a mapping of the recipe asks for and no scale can do is a deviation.
/// Throws kUnsupported for a family that nobody declared, kInvalidArgument when no mapping of a transform
/// fits anything.
void plan_folds(QuantizePlan& plan, const WeightPlaces& places);

}  // namespace farthing::plan
