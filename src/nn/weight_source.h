// Where modules get their weights, by canonical name. models/ implements it over a checkpoint in any spelling
// and any format; quantize/ lays freshly quantized weights over it.
#pragma once

#include <optional>
#include <string_view>
#include <variant>

#include "scheme/activation.h"
#include "tensor/quantized_matrix.h"

namespace farthing::nn {

class WeightSource {
 public:
  virtual ~WeightSource() = default;

  virtual bool has(std::string_view tensor) const = 0;

  /// Returns a plain tensor such as "model.norm.weight". Throws kNotFound naming file and tensor.
  virtual Tensor tensor(std::string_view name) const = 0;

  /// Returns the weight of the linear at module path `module`: dense [out, in], or quantized.
  virtual std::variant<Tensor, QuantizedMatrix> linear_weight(std::string_view module) const = 0;

  /// Returns how activations at a linear, or keys and values of an attention, are quantized at run time;
  /// nothing where they are not.
  virtual std::optional<scheme::ActivationQuantization> activation(std::string_view module,
                                                                   scheme::ActivationSite site) const {
    (void)module;
    (void)site;
    return {};
  }

  /// Says that the tensors below `prefix` will not be read again soon, so that their pages can leave memory.
  virtual void release(std::string_view prefix) const { (void)prefix; }
};

}  // namespace farthing::nn
