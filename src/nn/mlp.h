// down(f(gate(x)) * up(x)), or down(f(up(x))).
#pragma once

#include <string>
#include <vector>

#include "nn/forward_context.h"

namespace farthing::nn {

class Mlp {
 public:
  /// Loads the linears below `path`.
  Mlp(const MlpSpec& spec, const std::string& path, const WeightSource& source);

  /// y [rows, H] = mlp(x [rows, H]). Needs context.scratch. x and y do not overlap.
  void forward(const float* x, std::int64_t rows, float* y, const ForwardContext& context);

  /// gate, up, down.
  void append_linears(std::vector<Linear*>& linears);
  std::size_t num_bytes() const { return gate_.num_bytes() + up_.num_bytes() + down_.num_bytes(); }

 private:
  /// Returns what `down` reads, [rows, I].
  const float* activated(const float* x, std::int64_t rows, const ForwardContext& context) const;

  void limit(float* gate, float* up, std::int64_t stride, std::int64_t rows, std::int64_t width) const;

  Activation activation_;
  bool fused_gate_up_;
  float limit_, up_offset_;
  Linear gate_, up_, down_;
};

}  // namespace farthing::nn
