// Normalisation as declared: none, RMSNorm or LayerNorm.
#pragma once

#include <string>

#include "base/thread_pool.h"
#include "nn/declaration.h"
#include "nn/weight_source.h"

namespace farthing::nn {

/// Reads a plain tensor as fp32. Throws kCorruptData naming it when its shape is not `shape`.
Tensor read_float32(const WeightSource& source, const std::string& name, const Shape& shape);

class Norm {
 public:
  Norm() = default;
  /// Loads PARENT.NAME.weight and .bias [size], where declared.
  Norm(const NormSpec& spec, const std::string& parent, const WeightSource& source);

  explicit operator bool() const { return static_cast<bool>(spec_); }

  /// y [rows, size] = norm(x); x and y may be the same. Without a norm, y becomes a copy of x.
  void forward(const float* x, std::int64_t rows, float* y, ThreadPool& pool) const;

  std::int64_t size() const { return spec_.size; }
  std::size_t num_bytes() const { return weight_.num_bytes() + bias_.num_bytes(); }

 private:
  NormSpec spec_;
  Tensor weight_, bias_;  // F32 [size]
};

}  // namespace farthing::nn
