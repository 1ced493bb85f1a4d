// One linear layer for every kind of weight. There is no second, quantized copy of any model.
#pragma once

#include <optional>
#include <string>

#include "kernels/linear.h"
#include "nn/declaration.h"
#include "nn/weight_source.h"

namespace farthing::nn {

class Linear {
 public:
  Linear() = default;

  /// Loads the weight of the module at `path` and PATH.bias if declared. Throws kCorruptData naming the
  /// tensor when shapes differ from the declaration.
  Linear(const LinearSpec& spec, std::string path, const WeightSource& source);

  /// The same with a weight that is not a linear of its own in the file (tied heads, patches of pictures):
  /// dense [out, in].
  Linear(std::string path, const Tensor& weight, Tensor bias = {});

  explicit operator bool() const { return weight_.rows > 0; }

  /// y [rows, out] = x [rows, in] W^T + b, with x (and y) quantized first where the scheme says so.
  void forward(const float* x, std::int64_t rows, float* y, ThreadPool& pool) const;

  /// Swaps the weight, after quantization. The shape must stay.
  void set_weight(const QuantizedMatrix& weight);
  void set_weight(const Tensor& dense);
  /// From now on quantizes what enters.
  void set_input_quantization(std::optional<scheme::ActivationQuantization> input) {
    input_ = std::move(input);
  }

  const std::string& path() const { return path_; }
  std::int64_t in_features() const { return weight_.columns; }
  std::int64_t out_features() const { return weight_.rows; }
  std::size_t num_bytes() const { return weight_.num_bytes() + bias_.num_bytes(); }
  const kernels::PackedWeight& weight() const { return weight_; }
  const Tensor& bias() const { return bias_; }

 private:
  void replace(kernels::PackedWeight weight);

  std::string path_;
  kernels::PackedWeight weight_;
  std::optional<scheme::ActivationQuantization> input_, output_;
  Tensor bias_;  // F32 [out]; undefined when there is none
};

}  // namespace farthing::nn
