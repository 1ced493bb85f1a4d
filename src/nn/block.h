// A transformer block that can be run and watched. Sequences of different lengths are computed together:
// their rows lie one after the other, linears run over all of them at once, attention runs sequence by
// sequence, and no padding exists.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/batch.h"
#include "nn/forward_context.h"
#include "nn/linear.h"

namespace farthing::nn {

class Block {
 public:
  /// Loads the block's weights. `path` is canonical: "model.layers.3". `layer` indexes the caches.
  Block(const BlockSpec& spec, std::string path, std::int64_t layer, const WeightSource& source);
  ~Block();
  Block(Block&&) noexcept;
  Block& operator=(Block&&) noexcept;

  /// False where the batch leaves the block out: cross attention without any picture.
  bool takes_part(const Batch& batch) const;

  /// hidden [rows, H], in place; unchanged if the block does not take part.
  void forward(float* hidden, const ForwardContext& context);

  /// Runs one module of the block by its path (the attention, the MLP or mixture, an expert, a linear, or the
  /// block itself) on rows as it would be given them, and returns its output [rows, width].
  Tensor forward_module(const std::string& path, const Tensor& x, const ForwardContext& context);

  /// From now on the attention's keys and values are what a quantized cache would give back.
  void set_cache_quantization(std::optional<scheme::ActivationQuantization> keys,
                              std::optional<scheme::ActivationQuantization> values);

  const std::string& path() const;
  /// Paths of the modules that `forward_module` knows besides linears, outermost first.
  std::vector<std::string> modules() const;
  /// Every linear, in the order in which they compute (q, k, v, o, gate, up, down).
  std::vector<Linear*> linears();
  std::size_t num_bytes() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace farthing::nn
