// Changes of the weights before they are quantized that leave the model what it was: scales moved from norms
// and linears into those that read them.
#pragma once

#include <string>
#include <vector>

#include "methods/awq.h"
#include "methods/smoothquant.h"

namespace farthing::plan {

enum class TransformKind { kSmoothQuant, kAwq };
std::string_view transform_name(TransformKind kind);  // "smoothquant", "awq"

/// Which layers give a scale to which, in patterns as targets have them.
struct MappingPattern {
  std::string smooth;
  std::vector<std::string> balance;
};

/// One transform modifier of a recipe.
struct Transform {
  std::string name;  // "SmoothQuantModifier", "AWQModifier"
  TransformKind kind = TransformKind::kSmoothQuant;
  std::vector<MappingPattern> mappings;  // none: what the family declares
  std::vector<std::string> ignore;       // layers that keep their scale
  std::int64_t num_samples = 0;          // of the calibration set, from its beginning; 0: all
  methods::SmoothQuantOptions smoothquant;
  methods::AwqOptions awq;
};

}  // namespace farthing::plan
