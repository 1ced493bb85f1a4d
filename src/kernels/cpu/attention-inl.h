// Attention with the softmax computed along the way (Milakov and Gimelshein, 2018, arXiv 1805.02867): rows
// meet their keys block by block and keep the largest score, the sum of exponentials and the weighted sum of
// values.
#pragma once

#include "kernels/cpu/math-inl.h"
#include "kernels/cpu/tile-inl.h"

namespace farthing::kernels::FARTHING_ISA_NAMESPACE {

inline constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

/// Keys [begin, end) that may be visible to a query; an explicit mask decides for itself.
struct KeyRange {
  std::int64_t begin, end;
};

inline KeyRange visible_keys(const AttentionCall& call, std::int64_t query) {
  if (call.shape.visible != nullptr) return {0, call.keys};
  const std::int64_t position = call.query_offset + query;
  const std::int64_t end =
      call.shape.causal ? std::clamp<std::int64_t>(position + 1, 0, call.keys) : call.keys;
  const std::int64_t begin =
      call.shape.window == 0 ? 0 : std::clamp<std::int64_t>(position - call.shape.window + 1, 0, end);
  return {begin, end};
}

/// What a row knows before its first key: nothing, or the head's sink, which counts like a key without value.
inline SoftmaxState first_state(const AttentionCall& call, std::int64_t head) {
  if (call.shape.sinks == nullptr) return {kMinusInfinity, 0.0f};
  return {call.shape.sinks[head], 1.0f};
}

inline void cap_scores(float cap, float* scores, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const std::int64_t left = std::min<std::int64_t>(kLanes, count - i);
    store_first(scores + i, set(cap) * tanh(load_first(scores + i, left) / set(cap)), left);
  }
}

// The slope times the distance to the query, not times the key's index: softmax does not see the difference,
// and the numbers that matter are small.
inline void add_alibi(float slope, std::int64_t distance, float* scores, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    scores[i] = std::fma(slope, static_cast<float>(distance + i), scores[i]);
}

/// Turns scaled products of one query with keys [key, key + count) into scores; -inf where the query does not
/// see the key.
inline void finish_scores(const AttentionCall& call, std::int64_t head, std::int64_t query, std::int64_t key,
                          std::int64_t count, float* scores) {
  if (call.shape.softcap != 0.0f) cap_scores(call.shape.softcap, scores, count);
  if (call.shape.alibi_slopes != nullptr)
    add_alibi(call.shape.alibi_slopes[head], key - call.query_offset - query, scores, count);
  if (call.shape.visible != nullptr) {
    const std::uint8_t* visible = call.shape.visible + query * call.keys + key;
    for (std::int64_t i = 0; i < count; ++i) {
      if (visible[i] == 0) scores[i] = kMinusInfinity;
    }
    return;
  }
  const KeyRange range = visible_keys(call, query);
  const std::int64_t first = std::clamp<std::int64_t>(range.begin - key, 0, count),
                     last = std::clamp<std::int64_t>(range.end - key, first, count);
  std::fill(scores, scores + first, kMinusInfinity);
  std::fill(scores + last, scores + count, kMinusInfinity);
}

/// Replaces scores by exp(score - largest) and returns the factor by which what was summed before shrinks.
inline float soften(float* scores, std::int64_t count, SoftmaxState& state) {
  Vec top = set(state.largest);
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const std::int64_t left = std::min<std::int64_t>(kLanes, count - i);
    // Lanes beyond the end repeat the first score.
    const Vec block = left == kLanes ? load(scores + i) : set(scores[i]);
    top = max(block, top);
    for (std::int64_t j = 0; left != kLanes && j < left; ++j) top = max(set(scores[i + j]), top);
  }
  float lanes[kLanes];
  store(lanes, top);
  const float largest = *std::max_element(lanes, lanes + kLanes);
  if (largest == kMinusInfinity) {
    for (std::int64_t i = 0; i < count; ++i) {
      scores[i] = scores[i] == kMinusInfinity ? 0.0f : scores[i];  // invisible, or NaN
      state.total += scores[i];
    }
    return 1.0f;
  }
  Sum16 sums{};
  for (std::int64_t i = 0; i < count; i += kPanelRows) {
#pragma GCC unroll 2
    for (int v = 0; v < kVecsPerPanel; ++v) {
      const std::int64_t at = i + v * kLanes, left = std::clamp<std::int64_t>(count - at, 0, kLanes);
      if (left == kLanes) {
        const Vec weight = exp(load(scores + at) - set(largest));
        store(scores + at, weight);
        sums.lanes[v] = sums.lanes[v] + weight;
      } else if (left > 0) {
        store_first(scores + at, exp(load_first(scores + at, left) - set(largest)), left);
        sums.lanes[v] = sums.lanes[v] + load_first(scores + at, left);
      }
    }
  }
  const float factor = first_lane(exp(set(state.largest) - set(largest)));
  state.total = std::fma(state.total, factor, sums.total());
  state.largest = largest;
  return factor;
}

inline void scale_row(float* row, float factor, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const std::int64_t left = std::min<std::int64_t>(kLanes, count - i);
    store_first(row + i, load_first(row + i, left) * set(factor), left);
  }
}

// ---- few rows: keys and values are read where they are ----

// Panels of value columns whose sums stay in registers.
inline constexpr int kValuePanels = 4;

inline float dot(const float* a, const float* b, std::int64_t count) {
  Sum16 sums{};
  for (std::int64_t i = 0; i < count; i += kPanelRows) {
#pragma GCC unroll 2
    for (int v = 0; v < kVecsPerPanel; ++v) {
      const std::int64_t at = i + v * kLanes, left = std::clamp<std::int64_t>(count - at, 0, kLanes);
      if (left > 0) sums.lanes[v] = fma(load_first(a + at, left), load_first(b + at, left), sums.lanes[v]);
    }
  }
  return sums.total();
}

/// sums += sum_j weights[j] * v[j] for the first `columns` of kVecs vectors; kFull: all of them.
template <bool kFull>
void add_values(const float* weights, const float* v, std::int64_t v_stride, std::int64_t count,
                std::int64_t columns, float* sums) {
  constexpr int kVecs = kValuePanels * kVecsPerPanel;
  Vec totals[kVecs];
#pragma GCC unroll 8
  for (int i = 0; i < kVecs; ++i) {
    const std::int64_t left = kFull ? kLanes : std::clamp<std::int64_t>(columns - i * kLanes, 0, kLanes);
    totals[i] = load_first(sums + i * kLanes, left);
  }
  for (std::int64_t j = 0; j < count; ++j, v += v_stride) {
    const Vec weight = set(weights[j]);
#pragma GCC unroll 8
    for (int i = 0; i < kVecs; ++i) {
      const std::int64_t left = kFull ? kLanes : std::clamp<std::int64_t>(columns - i * kLanes, 0, kLanes);
      totals[i] = fma(weight, load_first(v + i * kLanes, left), totals[i]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kVecs; ++i) {
    const std::int64_t left = kFull ? kLanes : std::clamp<std::int64_t>(columns - i * kLanes, 0, kLanes);
    store_first(sums + i * kLanes, totals[i], left);
  }
}

inline void add_values(const float* weights, const float* v, std::int64_t v_stride, std::int64_t count,
                       std::int64_t columns, float* sums) {
  constexpr std::int64_t kStep = kValuePanels * kPanelRows;
  std::int64_t column = 0;
  for (; column + kStep <= columns; column += kStep)
    add_values<true>(weights, v + column, v_stride, count, kStep, sums + column);
  if (column < columns)
    add_values<false>(weights, v + column, v_stride, count, columns - column, sums + column);
}

/// KernelTable::attend_keys.
inline void attend_keys(const AttentionCall& call, std::int64_t key_head, std::int64_t begin,
                        std::int64_t end, float* sums, SoftmaxState* states) {
  const AttentionShape& shape = call.shape;
  const std::int64_t group = call.heads_per_key(), rows = call.queries * group;
  std::fill(sums, sums + rows * shape.value_dim, 0.0f);
  for (std::int64_t row = 0; row < rows; ++row)  // the sink belongs to the first piece of the keys
    states[row] =
        begin == 0 ? first_state(call, key_head * group + row % group) : SoftmaxState{kMinusInfinity, 0.0f};
  const float* k = call.k + key_head * shape.head_dim;
  const float* v = call.v + key_head * shape.value_dim;
  for (std::int64_t key = begin; key < end; key += kKeyBlock) {
    const std::int64_t count = std::min(kKeyBlock, end - key);
    for (std::int64_t row = 0; row < rows; ++row) {
      const std::int64_t query = row / group, head = key_head * group + row % group;
      const KeyRange range = visible_keys(call, query);
      if (range.end <= key || range.begin >= key + count) continue;
      const float* q = call.q + query * call.q_stride + head * shape.head_dim;
      float scores[kKeyBlock];
      for (std::int64_t j = 0; j < count; ++j)
        scores[j] = shape.scale * dot(q, k + (key + j) * call.k_stride, shape.head_dim);
      finish_scores(call, head, query, key, count, scores);
      float* out = sums + row * shape.value_dim;
      const float factor = soften(scores, count, states[row]);
      if (factor != 1.0f) scale_row(out, factor, shape.value_dim);
      add_values(scores, v + key * call.v_stride, call.v_stride, count, shape.value_dim, out);
    }
  }
}

// ---- many rows: keys and values are packed into panels once, and tiles multiply them ----

/// KernelTable::pack_key_block.
inline void pack_key_block(const AttentionCall& call, std::int64_t key_head, std::int64_t block,
                           float* packed_keys, float* packed_values) {
  const AttentionShape& shape = call.shape;
  const std::int64_t begin = block * kKeyBlock, count = std::min(kKeyBlock, call.keys - begin);
  for (std::int64_t key = 0; key < kKeyBlock; ++key) {
    const float* k = call.k + (begin + std::min(key, count - 1)) * call.k_stride + key_head * shape.head_dim;
    float* out = packed_keys + key / kPanelRows * kPanelRows * shape.head_dim + key % kPanelRows;
    for (std::int64_t i = 0; i < shape.head_dim; ++i) out[i * kPanelRows] = k[i];
  }
  for (std::int64_t column = 0; column < shape.value_dim; column += kPanelRows) {
    const std::int64_t width = std::min(kPanelRows, shape.value_dim - column);
    for (std::int64_t key = 0; key < count; ++key) {
      const float* v = call.v + (begin + key) * call.v_stride + key_head * shape.value_dim + column;
      float* out = packed_values + column * kKeyBlock + key * kPanelRows;
      for (std::int64_t i = 0; i < width; ++i) out[i] = v[i];
    }
  }
}

inline constexpr std::int64_t kScoreStride = kKeyBlock;

/// The rows of one tile: a few consecutive queries of one head.
struct QueryTile {
  std::int64_t begin, rows;
  const float* packed_q;  // [head_dim, rows]
  float* sums;            // [rows, padded_value_dim]
  SoftmaxState* states;   // [rows]
};

/// sums [rows, columns] += scale * a b for one tile; columns are rounded up to whole panels, which are
/// `b_stride` floats apart.
template <int kStride>
void multiply_panels(const float* a, std::int64_t rows, std::int64_t k, const float* b, std::int64_t b_stride,
                     float scale, float* sums, std::int64_t sums_stride, std::int64_t columns) {
  float scales[kTilePanels * kPanelRows];
  std::fill(std::begin(scales), std::end(scales), scale);
  for (std::int64_t column = 0; column < columns;) {
    const std::int64_t panels = columns - column > (kTilePanels - 1) * kPanelRows ? kTilePanels : 1;
    tile_function<kStride>(rows, panels)(a, k, b + column / kPanelRows * b_stride, b_stride, scales,
                                         sums + column, sums_stride, nullptr);
    column += panels * kPanelRows;
  }
}

inline void attend_block(const AttentionCall& call, std::int64_t head, const QueryTile& tile,
                         std::int64_t key, const float* packed_keys, const float* packed_values) {
  const AttentionShape& shape = call.shape;
  const std::int64_t count = std::min(kKeyBlock, call.keys - key);
  alignas(64) float scores[kTileRows * kScoreStride] = {};
  multiply_panels<0>(tile.packed_q, tile.rows, shape.head_dim, packed_keys, shape.head_dim * kPanelRows,
                     shape.scale, scores, kScoreStride, count);
  for (std::int64_t r = 0; r < tile.rows; ++r) {
    finish_scores(call, head, tile.begin + r, key, count, scores + r * kScoreStride);
    const float factor = soften(scores + r * kScoreStride, count, tile.states[r]);
    if (factor != 1.0f) scale_row(tile.sums + r * call.padded_value_dim(), factor, shape.value_dim);
  }
  multiply_panels<kScoreStride>(scores, tile.rows, count, packed_values, kKeyBlock * kPanelRows, 1.0f,
                                tile.sums, call.padded_value_dim(), shape.value_dim);
}

inline void write_tile(const AttentionCall& call, std::int64_t head, const QueryTile& tile) {
  const std::int64_t value_dim = call.shape.value_dim;
  for (std::int64_t r = 0; r < tile.rows; ++r) {
    const float factor = tile.states[r].total == 0.0f ? 0.0f : 1.0f / tile.states[r].total;
    float* out = call.out + (tile.begin + r) * call.out_stride() + head * value_dim;
    std::copy_n(tile.sums + r * call.padded_value_dim(), value_dim, out);
    scale_row(out, factor, value_dim);
  }
}

inline void attend_tile(const AttentionCall& call, std::int64_t head, const QueryTile& tile,
                        const float* packed_keys, const float* packed_values) {
  std::fill(tile.sums, tile.sums + tile.rows * call.padded_value_dim(), 0.0f);
  std::fill(tile.states, tile.states + tile.rows, first_state(call, head));
  // The later of two queries sees later keys.
  const std::int64_t first = visible_keys(call, tile.begin).begin,
                     end = visible_keys(call, tile.begin + tile.rows - 1).end;
  for (std::int64_t block = first / kKeyBlock; block * kKeyBlock < end; ++block) {
    attend_block(call, head, tile, block * kKeyBlock, packed_keys + block * packed_keys_size(call),
                 packed_values + block * packed_values_size(call));
  }
  write_tile(call, head, tile);
}

/// KernelTable::attend_packed.
inline void attend_packed(const AttentionCall& call, std::int64_t head, std::int64_t begin, std::int64_t end,
                          const float* packed_keys, const float* packed_values, float* workspace) {
  const std::int64_t head_dim = call.shape.head_dim;
  const RowTiles tiles{end - begin, kTileRows};
  SoftmaxState states[kTileRows];
  for (std::int64_t t = 0; t < tiles.count(); ++t) {
    const QueryTile tile{begin + tiles.begin(t), tiles.begin(t + 1) - tiles.begin(t), workspace,
                         workspace + kTileRows * head_dim, states};
    for (std::int64_t r = 0; r < tile.rows; ++r) {
      const float* q = call.q + (tile.begin + r) * call.q_stride + head * head_dim;
      for (std::int64_t i = 0; i < head_dim; ++i) workspace[i * tile.rows + r] = q[i];
    }
    attend_tile(call, head, tile, packed_keys, packed_values);
  }
}

}  // namespace farthing::kernels::FARTHING_ISA_NAMESPACE
