// Experts that a file keeps together: which part of which tensor belongs to the linear of one expert.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "models/family.h"

namespace farthing::models {

/// A weight [out, in] or bias [out] inside a tensor [experts, ...] of all experts.
struct TensorPart {
  std::string whole;       // canonical name of the tensor
  std::size_t prefix = 0;  // of the name: what comes before both it and the names of single experts
  Shape whole_shape;       // as a dense file has it: [experts, out, in], [experts, in, out] or [experts, out]
  std::int64_t expert = 0;
  std::int64_t first = 0, step = 1, count = 0;  // which outputs of that expert
  bool transposed = false;                      // [experts, in, out]

  std::int64_t outputs() const { return whole_shape[transposed ? 2 : 1]; }  // of one expert
  std::int64_t inputs() const { return whole_shape.size() == 2 ? 1 : whole_shape[transposed ? 1 : 2]; }
};

/// By the canonical names that they would have alone ("...experts.3.up_proj.weight").
using TensorParts = std::map<std::string, TensorPart, std::less<>>;

/// The parts of all tensors of `spec` that the file has together: those for whose whole `has` is true.
TensorParts fused_parts_of(const nn::ModelSpec& spec,
                           const std::function<bool(const std::string& whole)>& has);

/// Copies a part out of the whole: [out, in] or [out], in the same element type. Throws kCorruptData naming
/// the tensor when it has another shape.
Tensor take_part(const Tensor& whole, const TensorPart& part);

/// The reverse for weights of all experts, [experts * out, in] one below the other: the whole, as files have
/// it.
Tensor put_together(const Tensor& rows, const TensorPart& part);

/// The name that a part has alone, in the spelling in which the file has its whole.
std::string part_name(const TensorPart& part, std::string_view canonical, std::string_view whole_in_file);

}  // namespace farthing::models
