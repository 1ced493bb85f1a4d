#include "kernels/attention.h"

#include "kernels/reference/attention.h"

namespace farthing::kernels {

void attention(const AttentionShape& shape, const float* q, std::int64_t q_stride, std::int64_t queries,
               std::int64_t query_offset, const float* k, std::int64_t k_stride, const float* v,
               std::int64_t v_stride, std::int64_t keys, float* out, ThreadPool& pool) {
  const std::int64_t out_stride = shape.num_heads * (shape.value_dim == 0 ? shape.head_dim : shape.value_dim);
  pool.parallel_for(queries, 1, [&](std::int64_t begin, std::int64_t end) {
    AttentionShape piece = shape;
    if (piece.visible != nullptr) piece.visible += begin * keys;
    reference::attention(piece, q + begin * q_stride, q_stride, end - begin, query_offset + begin, k,
                         k_stride, v, v_stride, keys, out + begin * out_stride);
  });
}

}  // namespace farthing::kernels
