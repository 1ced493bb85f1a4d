#include "kernels/attention.h"

#include <cmath>
#include <vector>

#include "base/error.h"
#include "kernels/kernel_table.h"
#include "kernels/reference/attention.h"

namespace farthing::kernels {
namespace {

// Up to so many rows share the keys of a head, packing them does not pay.
constexpr std::int64_t kFewRows = 16;

// Keys of a piece when there are few rows: long contexts are spread over threads.
constexpr std::int64_t kPieceKeys = 512;

// Queries of a piece when there are many.
constexpr std::int64_t kPieceQueries = 84;  // a multiple of the tile rows 14 and 6

// Floats of packed keys and values that are held at once; heads beyond it wait for the next round.
constexpr std::int64_t kPackedFloats = 8 << 20;

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
  return (a + b - 1) / b;
}

void attend_by_reference(const AttentionCall& call, ThreadPool& pool) {
  pool.parallel_for(call.queries, 1, [&](std::int64_t begin, std::int64_t end) {
    AttentionShape shape = call.shape;
    if (shape.visible != nullptr) shape.visible += begin * call.keys;
    reference::attention(shape, call.q + begin * call.q_stride, call.q_stride, end - begin,
                         call.query_offset + begin, call.k, call.k_stride, call.v, call.v_stride, call.keys,
                         call.out + begin * call.out_stride());
  });
}

// What the pieces of few rows leave behind: [key/value head][piece of keys][row].
struct PartialRows {
  std::int64_t rows, pieces, value_dim;
  std::vector<float> sums;
  std::vector<SoftmaxState> states;

  PartialRows(const AttentionCall& call, std::int64_t num_pieces)
      : rows(call.queries * call.heads_per_key()), pieces(num_pieces), value_dim(call.shape.value_dim) {
    const auto count = static_cast<std::size_t>(call.shape.num_key_value_heads * pieces * rows);
    sums.resize(count * static_cast<std::size_t>(value_dim));
    states.resize(count);
  }
  std::int64_t at(std::int64_t key_head, std::int64_t piece, std::int64_t row) const {
    return (key_head * pieces + piece) * rows + row;
  }
};

// Brings the pieces of one row to the same largest score and adds them.
void merge_row(const PartialRows& partial, std::int64_t key_head, std::int64_t row, float* out) {
  float largest = -std::numeric_limits<float>::infinity(), total = 0.0f;
  for (std::int64_t p = 0; p < partial.pieces; ++p)
    largest = std::max(largest, partial.states[partial.at(key_head, p, row)].largest);
  std::fill(out, out + partial.value_dim, 0.0f);
  for (std::int64_t p = 0; p < partial.pieces; ++p) {
    const std::int64_t at = partial.at(key_head, p, row);
    const SoftmaxState& state = partial.states[at];
    if (state.total == 0.0f) continue;
    const float factor = state.largest == largest ? 1.0f : std::exp(state.largest - largest);
    total += factor * state.total;
    for (std::int64_t i = 0; i < partial.value_dim; ++i)
      out[i] += factor * partial.sums[at * partial.value_dim + i];
  }
  const float normalizer = total == 0.0f ? 0.0f : 1.0f / total;
  for (std::int64_t i = 0; i < partial.value_dim; ++i) out[i] *= normalizer;
}

void attend_few_rows(const KernelTable& table, const AttentionCall& call, ThreadPool& pool) {
  const std::int64_t key_heads = call.shape.num_key_value_heads, group = call.heads_per_key();
  PartialRows partial(call, std::max<std::int64_t>(1, ceil_div(call.keys, kPieceKeys)));
  const std::int64_t products =
      partial.rows * std::min(call.keys, kPieceKeys) * (call.shape.head_dim + call.shape.value_dim);
  const std::int64_t grain = (1 << 17) / std::max<std::int64_t>(1, products) + 1;
  pool.parallel_for(key_heads * partial.pieces, grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t key = i % partial.pieces * kPieceKeys;
      table.attend_keys(call, i / partial.pieces, key, std::min(key + kPieceKeys, call.keys),
                        partial.sums.data() + i * partial.rows * partial.value_dim,
                        partial.states.data() + i * partial.rows);
    }
  });
  for (std::int64_t key_head = 0; key_head < key_heads; ++key_head) {
    for (std::int64_t row = 0; row < partial.rows; ++row) {
      const std::int64_t head = key_head * group + row % group;
      merge_row(partial, key_head, row,
                call.out + row / group * call.out_stride() + head * partial.value_dim);
    }
  }
}

void attend_many_rows(const KernelTable& table, const AttentionCall& call, ThreadPool& pool) {
  const AttentionShape& shape = call.shape;
  const std::int64_t blocks = ceil_div(call.keys, kKeyBlock), group = call.heads_per_key();
  const std::int64_t keys_size = blocks * packed_keys_size(call),
                     values_size = blocks * packed_values_size(call);
  const std::int64_t heads_at_once =
      std::clamp<std::int64_t>(kPackedFloats / (keys_size + values_size), 1, shape.num_key_value_heads);
  Tensor packed = Tensor::empty(DType::kF32, {heads_at_once * (keys_size + values_size)});
  float* packed_keys = packed.mutable_data<float>();
  float* packed_values = packed_keys + heads_at_once * keys_size;
  const std::int64_t query_pieces = ceil_div(call.queries, kPieceQueries);
  for (std::int64_t first = 0; first < shape.num_key_value_heads; first += heads_at_once) {
    const std::int64_t key_heads = std::min(heads_at_once, shape.num_key_value_heads - first);
    pool.parallel_for(key_heads * blocks, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        table.pack_key_block(call, first + i / blocks, i % blocks, packed_keys + i * packed_keys_size(call),
                             packed_values + i * packed_values_size(call));
      }
    });
    pool.parallel_for(key_heads * group * query_pieces, 1, [&](std::int64_t begin, std::int64_t end) {
      std::vector<float> workspace(
          static_cast<std::size_t>(table.tile_rows * (shape.head_dim + call.padded_value_dim())));
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t head = i / query_pieces,
                           query = i % query_pieces * kPieceQueries;  // head of this round
        table.attend_packed(call, first * group + head, query, std::min(query + kPieceQueries, call.queries),
                            packed_keys + head / group * keys_size,
                            packed_values + head / group * values_size, workspace.data());
      }
    });
  }
}

}  // namespace

void attention(const AttentionShape& shape, const float* q, std::int64_t q_stride, std::int64_t queries,
               std::int64_t query_offset, const float* k, std::int64_t k_stride, const float* v,
               std::int64_t v_stride, std::int64_t keys, float* out, ThreadPool& pool) {
  FARTHING_CHECK(
      shape.num_key_value_heads > 0 && shape.num_heads % shape.num_key_value_heads == 0 && shape.head_dim > 0,
      "{} heads on {}, head_dim {}", shape.num_heads, shape.num_key_value_heads, shape.head_dim);
  AttentionCall call{.shape = shape,
                     .q = q,
                     .q_stride = q_stride,
                     .queries = queries,
                     .query_offset = query_offset,
                     .k = k,
                     .k_stride = k_stride,
                     .v = v,
                     .v_stride = v_stride,
                     .keys = keys,
                     .out = out};
  if (call.shape.value_dim == 0) call.shape.value_dim = shape.head_dim;
  const KernelTable& table = kernel_table(active_isa());
  if (keys == 0) {
    std::fill(out, out + queries * call.out_stride(), 0.0f);
  } else if (table.attend_packed == nullptr) {
    attend_by_reference(call, pool);
  } else if (queries * call.heads_per_key() <= kFewRows) {
    attend_few_rows(table, call, pool);
  } else {
    attend_many_rows(table, call, pool);
  }
}

}  // namespace farthing::kernels
