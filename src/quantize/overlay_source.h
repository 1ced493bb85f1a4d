// The checkpoint with some weights changed: what folding has done to a block lies over the file.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "nn/weight_source.h"

namespace farthing::quantize {

class OverlaySource : public nn::WeightSource {
 public:
  explicit OverlaySource(std::shared_ptr<const nn::WeightSource> below) : below_(std::move(below)) {}

  /// From now on `name` is this. The weight of a linear is [out, in] here, however the file stores it.
  void set(const std::string& name, Tensor tensor) { changed_[name] = std::move(tensor); }
  void clear() { changed_.clear(); }

  bool has(std::string_view tensor) const override { return below_->has(tensor); }
  Tensor tensor(std::string_view name) const override {
    const auto found = changed_.find(name);
    return found != changed_.end() ? found->second : below_->tensor(name);
  }
  std::variant<Tensor, QuantizedMatrix> linear_weight(std::string_view module) const override {
    const auto found = changed_.find(std::string(module) + ".weight");
    if (found != changed_.end()) return found->second;
    return below_->linear_weight(module);
  }
  std::optional<scheme::ActivationQuantization> activation(std::string_view module,
                                                           scheme::ActivationSite site) const override {
    return below_->activation(module, site);
  }
  void release(std::string_view prefix) const override { below_->release(prefix); }

 private:
  std::shared_ptr<const nn::WeightSource> below_;
  std::map<std::string, Tensor, std::less<>> changed_;
};

}  // namespace farthing::quantize
