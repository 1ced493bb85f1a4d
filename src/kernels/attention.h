// softmax(scale * q k^T + mask) v for one sequence, with grouped heads, without ever holding the full score
// matrix.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"

namespace farthing::kernels {

struct AttentionShape {
  std::int64_t num_heads = 1;
  std::int64_t num_key_value_heads = 1;  // head h reads key/value head h / (num_heads / num_key_value_heads)
  std::int64_t head_dim = 64;            // of q and k
  std::int64_t value_dim = 0;            // of v; 0 means head_dim
  float scale = 1.0f;
  float softcap = 0.0f;     // scores become cap * tanh(score / cap) before the mask; 0 turns it off
  bool causal = true;       // query i (at position query_offset + i) sees keys 0 .. query_offset + i
  std::int64_t window = 0;  // ... and of those only the last `window`, itself included; 0 means all
  const float* alibi_slopes = nullptr;  // [num_heads]: adds slope * key index
  const float* sinks = nullptr;  // [num_heads]: a score that takes its share of the softmax and has no value
  /// Optional extra mask [queries, keys], nonzero = visible. With it, `causal` and `window` are ignored.
  const std::uint8_t* visible = nullptr;
};

/// `q` [queries, num_heads * head_dim] with `q_stride` floats from row to row; `k` and `v` [keys,
/// num_key_value_heads * dim] with their strides; `out` [queries, num_heads * value_dim] dense. Query i has
/// position `query_offset + i` among the keys. A query that sees no key gives zeros.
void attention(const AttentionShape& shape, const float* q, std::int64_t q_stride, std::int64_t queries,
               std::int64_t query_offset, const float* k, std::int64_t k_stride, const float* v,
               std::int64_t v_stride, std::int64_t keys, float* out, ThreadPool& pool);

}  // namespace farthing::kernels
