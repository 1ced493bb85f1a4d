#include "nn/projector.h"

#include "nn/names.h"

namespace farthing::nn {

Projector::Projector(const ProjectorSpec& spec, const WeightSource& source) : activation_(spec.activation) {
  for (const LinearSpec& linear : spec.linears)
    linears_.emplace_back(linear, join(spec.path, linear.name), source);
  source.release(spec.path);
}

Tensor Projector::forward(const Tensor& features, ThreadPool& pool) const {
  Tensor x = features;
  for (std::size_t i = 0; i < linears_.size(); ++i) {
    Tensor y = Tensor::empty(DType::kF32, {x.dim(0), linears_[i].out_features()});
    linears_[i].forward(x.data<float>(), x.dim(0), y.mutable_data<float>(), pool);
    if (i + 1 < linears_.size()) kernels::activate(activation_, y.mutable_data<float>(), y.numel(), pool);
    x = std::move(y);
  }
  return x;
}

std::size_t Projector::num_bytes() const {
  std::size_t sum = 0;
  for (const Linear& linear : linears_) sum += linear.num_bytes();
  return sum;
}

}  // namespace farthing::nn
