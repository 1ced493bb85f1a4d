#include "models/folded_source.h"

#include "base/error.h"
#include "methods/awq.h"
#include "methods/folding.h"

namespace farthing::models {
namespace {

constexpr std::string_view kWeight = ".weight", kBias = ".bias";

// The module that a weight or bias belongs to; empty for other parameters.
std::string_view module_of(std::string_view tensor) {
  for (const std::string_view ending : {kWeight, kBias})
    if (tensor.ends_with(ending)) return tensor.substr(0, tensor.size() - ending.size());
  return {};
}

}  // namespace

void FoldedSource::fold(const FoldingPair& pair, std::vector<float> scale) {
  const auto shared = std::make_shared<const std::vector<float>>(std::move(scale));
  const bool gives = smoothed_.emplace(pair.smooth, Smoothed{shared, pair.weight_offset}).second;
  FARTHING_CHECK(gives, "{} gave a scale before", pair.smooth);
  for (const std::string& linear : pair.balance)
    FARTHING_CHECK(multiplied_.emplace(linear, shared).second, "{} took a scale before", linear);
}

void FoldedSource::clear() {
  smoothed_.clear();
  multiplied_.clear();
  limits_.clear();
  replaced_.clear();
}

bool FoldedSource::is_changed(const std::string& name) const {
  const std::string_view module = module_of(name);
  return replaced_.contains(name) || smoothed_.contains(module) ||
         (name.ends_with(kWeight) && (multiplied_.contains(module) || limits_.contains(module)));
}

Tensor FoldedSource::tensor(std::string_view name) const {
  if (const auto replaced = replaced_.find(name); replaced != replaced_.end()) return replaced->second;
  const auto smoothed = smoothed_.find(module_of(name));
  if (smoothed == smoothed_.end()) return below_->tensor(name);
  const float offset = name.ends_with(kWeight) ? smoothed->second.weight_offset : 0.0f;
  return methods::divide_outputs(below_->tensor(name), *smoothed->second.scale, offset);
}

std::variant<Tensor, QuantizedMatrix> FoldedSource::linear_weight(std::string_view module) const {
  if (const auto replaced = replaced_.find(std::string(module) + std::string(kWeight));
      replaced != replaced_.end())
    return replaced->second;
  const auto multiplied = multiplied_.find(module);
  const auto smoothed = smoothed_.find(module);
  const auto limits = limits_.find(module);
  std::variant<Tensor, QuantizedMatrix> weight = below_->linear_weight(module);
  if (multiplied == multiplied_.end() && smoothed == smoothed_.end() && limits == limits_.end())
    return weight;
  FARTHING_CHECK(std::holds_alternative<Tensor>(weight), "{} is quantized already", module);
  Tensor dense = std::get<Tensor>(std::move(weight));
  if (multiplied != multiplied_.end()) dense = methods::multiply_inputs(dense, *multiplied->second, pool_);
  if (smoothed != smoothed_.end()) dense = methods::divide_outputs(dense, *smoothed->second.scale);
  if (limits != limits_.end()) dense = methods::clip_groups(dense, limits->second, pool_);
  return dense;
}

}  // namespace farthing::models
