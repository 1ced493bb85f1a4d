// Weights for tests: random values for whatever a module asks for, the same for the same name.
#pragma once

#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "nn/weight_source.h"

namespace farthing::nn {

class RandomSource : public WeightSource {
 public:
  /// Promises a tensor; `linear_weight` finds PATH.weight.
  void add(const std::string& name, Shape shape) { shapes_[name] = std::move(shape); }

  /// Promises PATH.weight and PATH.bias of a linear or norm.
  void add_module(const std::string& path, const Shape& weight) {
    add(path + ".weight", weight);
    add(path + ".bias", {weight[0]});
  }

  bool has(std::string_view tensor) const override { return shapes_.contains(std::string(tensor)); }

  Tensor tensor(std::string_view name) const override {
    Tensor result = Tensor::empty(DType::kF32, shapes_.at(std::string(name)));
    std::mt19937 generator(static_cast<std::uint32_t>(std::hash<std::string_view>{}(name)));
    std::uniform_real_distribution<float> values(-0.3f, 0.3f);
    float* data = result.mutable_data<float>();
    for (std::int64_t i = 0; i < result.numel(); ++i) data[i] = values(generator);
    return result;
  }

  std::variant<Tensor, QuantizedMatrix> linear_weight(std::string_view module) const override {
    return tensor(std::string(module) + ".weight");
  }

  void release(std::string_view prefix) const override { released.emplace_back(prefix); }

  mutable std::vector<std::string> released;

 private:
  std::map<std::string, Shape> shapes_;
};

}  // namespace farthing::nn
