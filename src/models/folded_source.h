// Weights with scales moved along folding pairs: what SmoothQuant and AWQ change lies over the file and is
// computed when it is read.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "models/family.h"
#include "nn/weight_source.h"

namespace farthing::models {

class FoldedSource : public nn::WeightSource {
 public:
  FoldedSource(std::shared_ptr<const nn::WeightSource> below, ThreadPool& pool)
      : below_(std::move(below)), pool_(pool) {}

  /// Moves `scale` from the output of the pair's `smooth` into the inputs of its `balance`, as
  /// methods/folding.h says. A layer gives and a linear takes one scale at most.
  void fold(const FoldingPair& pair, std::vector<float> scale);

  /// Keeps the weight of a linear inside `limits` [rows, groups of columns], after its scales moved.
  void clip(const std::string& module, Tensor limits) { limits_[module] = std::move(limits); }

  /// From now on the tensor `name` is this; the weight of a linear is [out, in], however the file stores it.
  void set(const std::string& name, Tensor tensor) { replaced_[name] = std::move(tensor); }

  /// Forgets every change.
  void clear();

  /// Whether the tensor `name` differs from the file's.
  bool is_changed(const std::string& name) const;

  bool has(std::string_view tensor) const override { return below_->has(tensor); }
  Tensor tensor(std::string_view name) const override;
  std::variant<Tensor, QuantizedMatrix> linear_weight(std::string_view module) const override;
  std::optional<scheme::ActivationQuantization> activation(std::string_view module,
                                                           scheme::ActivationSite site) const override {
    return below_->activation(module, site);
  }
  void release(std::string_view prefix) const override { below_->release(prefix); }

 private:
  struct Smoothed {
    std::shared_ptr<const std::vector<float>> scale;
    float weight_offset = 0;
  };

  std::shared_ptr<const nn::WeightSource> below_;
  ThreadPool& pool_;
  std::map<std::string, Smoothed, std::less<>> smoothed_;                                     // by module
  std::map<std::string, std::shared_ptr<const std::vector<float>>, std::less<>> multiplied_;  // by linear
  std::map<std::string, Tensor, std::less<>> limits_;                                         // by linear
  std::map<std::string, Tensor, std::less<>> replaced_;                                       // by tensor
};

}  // namespace farthing::models
