#include "nn/mlp.h"

#include <algorithm>
#include <limits>

#include "kernels/elementwise.h"
#include "nn/names.h"

namespace farthing::nn {

Mlp::Mlp(const MlpSpec& spec, const std::string& path, const WeightSource& source)
    : activation_(spec.activation),
      fused_gate_up_(spec.fused_gate_up),
      limit_(spec.limit),
      up_offset_(spec.up_offset),
      up_(spec.up, join(path, spec.up.name), source),
      down_(spec.down, join(path, spec.down.name), source) {
  if (spec.gate) gate_ = Linear(*spec.gate, join(path, spec.gate->name), source);
}

void Mlp::forward(const float* x, std::int64_t rows, float* y, const ForwardContext& context) {
  Linear* inputs[] = {&gate_, &up_};
  context.observe(std::span<Linear* const>(inputs).subspan(gate_ ? 0 : 1), x, rows);
  const float* middle = activated(x, rows, context);
  Linear* down = &down_;
  context.observe({&down, 1}, middle, rows);
  down_.forward(middle, rows, y, context.pool);
}

const float* Mlp::activated(const float* x, std::int64_t rows, const ForwardContext& context) const {
  ThreadPool& pool = context.pool;
  float* up = context.scratch->floats(Scratch::kUp, rows * up_.out_features());
  up_.forward(x, rows, up, pool);
  if (fused_gate_up_) {
    const std::int64_t width = up_.out_features() / 2;
    limit(up, up + width, 2 * width, rows, width);
    kernels::gated_activate(activation_, up, 2 * width, up + width, 2 * width, rows, width, pool);
    float* dense = context.scratch->floats(Scratch::kActivated, rows * width);
    for (std::int64_t row = 0; row < rows; ++row)
      std::copy_n(up + row * 2 * width, width, dense + row * width);
    return dense;
  }
  if (!gate_) {
    kernels::activate(activation_, up, rows * up_.out_features(), pool);
    return up;
  }
  const std::int64_t width = gate_.out_features();
  float* gate = context.scratch->floats(Scratch::kGate, rows * width);
  gate_.forward(x, rows, gate, pool);
  limit(gate, up, width, rows, width);
  kernels::gated_activate(activation_, gate, width, up, width, rows, width, pool);
  return gate;
}

void Mlp::limit(float* gate, float* up, std::int64_t stride, std::int64_t rows, std::int64_t width) const {
  if (limit_ == 0.0f && up_offset_ == 0.0f) return;
  const float limit = limit_ == 0.0f ? std::numeric_limits<float>::infinity() : limit_;
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t i = row * stride; i < row * stride + width; ++i) {
      gate[i] = std::min(gate[i], limit);
      up[i] = std::clamp(up[i], -limit, limit) + up_offset_;
    }
}

void Mlp::append_linears(std::vector<Linear*>& linears) {
  if (gate_) linears.push_back(&gate_);
  linears.push_back(&up_);
  linears.push_back(&down_);
}

}  // namespace farthing::nn
