#include "kernels/reference/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace farthing::kernels::reference {
namespace {

double score(const AttentionShape& shape, std::int64_t head, const float* q, const float* key,
             std::int64_t index) {
  double dot = 0.0;
  for (std::int64_t i = 0; i < shape.head_dim; ++i) dot += static_cast<double>(q[i]) * key[i];
  double value = dot * shape.scale;
  if (shape.softcap != 0.0f) value = shape.softcap * std::tanh(value / shape.softcap);
  if (shape.alibi_slopes != nullptr)
    value += static_cast<double>(shape.alibi_slopes[head]) * static_cast<double>(index);
  return value;
}

}  // namespace

bool sees(const AttentionShape& shape, std::int64_t position, std::int64_t key,
          const std::uint8_t* visible_row) {
  if (visible_row != nullptr) return visible_row[key] != 0;
  if (shape.causal && key > position) return false;
  return shape.window == 0 || key > position - shape.window;
}

void attention(const AttentionShape& shape, const float* q, std::int64_t q_stride, std::int64_t queries,
               std::int64_t query_offset, const float* k, std::int64_t k_stride, const float* v,
               std::int64_t v_stride, std::int64_t keys, float* out) {
  const std::int64_t value_dim = shape.value_dim == 0 ? shape.head_dim : shape.value_dim;
  const std::int64_t heads_per_key = shape.num_heads / shape.num_key_value_heads;
  std::vector<double> weights(static_cast<std::size_t>(keys)), sums(static_cast<std::size_t>(value_dim));
  for (std::int64_t query = 0; query < queries; ++query) {
    const std::uint8_t* visible = shape.visible == nullptr ? nullptr : shape.visible + query * keys;
    for (std::int64_t head = 0; head < shape.num_heads; ++head) {
      const std::int64_t key_head = head / heads_per_key;
      const float* q_row = q + query * q_stride + head * shape.head_dim;
      const double sink =
          shape.sinks == nullptr ? -std::numeric_limits<double>::infinity() : shape.sinks[head];
      double largest = sink;
      for (std::int64_t j = 0; j < keys; ++j) {
        weights[j] = sees(shape, query_offset + query, j, visible)
                         ? score(shape, head, q_row, k + j * k_stride + key_head * shape.head_dim, j)
                         : -std::numeric_limits<double>::infinity();
        largest = std::max(largest, weights[j]);
      }
      double total = shape.sinks == nullptr ? 0.0 : std::exp(sink - largest);
      std::fill(sums.begin(), sums.end(), 0.0);
      for (std::int64_t j = 0; j < keys; ++j) {
        if (!sees(shape, query_offset + query, j, visible)) continue;
        const double weight = std::exp(weights[j] - largest);
        total += weight;
        for (std::int64_t i = 0; i < value_dim; ++i)
          sums[i] += weight * v[j * v_stride + key_head * value_dim + i];
      }
      float* out_row = out + (query * shape.num_heads + head) * value_dim;
      for (std::int64_t i = 0; i < value_dim; ++i)
        out_row[i] = total == 0.0 ? 0.0f : static_cast<float>(sums[i] / total);
    }
  }
}

}  // namespace farthing::kernels::reference
