// softmax(scale * q k^T + mask) v in double, one query of one head at a time. The oracle of the table test;
// never tuned.
#pragma once

#include "kernels/attention.h"

namespace farthing::kernels::reference {

/// True if a query at `position` sees key `key`; `visible_row` is the query's row of shape.visible, or null.
bool sees(const AttentionShape& shape, std::int64_t position, std::int64_t key,
          const std::uint8_t* visible_row);

/// The arguments are those of kernels::attention.
void attention(const AttentionShape& shape, const float* q, std::int64_t q_stride, std::int64_t queries,
               std::int64_t query_offset, const float* k, std::int64_t k_stride, const float* v,
               std::int64_t v_stride, std::int64_t keys, float* out);

}  // namespace farthing::kernels::reference
