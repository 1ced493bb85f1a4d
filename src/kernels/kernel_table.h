// The table that connects the ops with their variants: one row of function pointers for every instruction
// set. The public functions check arguments and cut the work into pieces whose borders depend on shapes only;
// a piece goes through the table.
#pragma once

#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "kernels/packed_layout.h"

namespace farthing::kernels {

/// The rows of the left operand of a product: element (r, k) is data[r * row_stride + order[k] *
/// column_stride].
struct RowSource {
  const float* data = nullptr;
  std::int64_t row_stride = 0;
  std::int64_t column_stride = 1;
  const std::int32_t* order = nullptr;  // null: columns as they come
};

/// y += x w^T for a block of rows, which `pack_rows` has arranged. Rows of y are `y_stride` apart.
struct ProductBlock {
  const float* packed_rows = nullptr;
  std::int64_t num_rows = 0;
  PanelView weight;
  float* y = nullptr;
  std::int64_t y_stride = 0;
  bool overwrite = false;       // y = bias + x w^T instead
  const float* bias = nullptr;  // [weight.rows] or null; with `overwrite` only
  bool upper = false;           // only the elements of y with column >= diagonal + row
  std::int64_t diagonal = 0;
};

/// One call of attention(), checked, with every default filled in.
struct AttentionCall {
  AttentionShape shape;
  const float* q = nullptr;
  std::int64_t q_stride = 0, queries = 0, query_offset = 0;
  const float* k = nullptr;
  std::int64_t k_stride = 0;
  const float* v = nullptr;
  std::int64_t v_stride = 0, keys = 0;
  float* out = nullptr;

  std::int64_t heads_per_key() const { return shape.num_heads / shape.num_key_value_heads; }
  std::int64_t out_stride() const { return shape.num_heads * shape.value_dim; }
  std::int64_t padded_value_dim() const {
    return (shape.value_dim + kPanelRows - 1) / kPanelRows * kPanelRows;
  }
};

/// Keys are met in blocks of so many; within a block, all scores of a row are known before their
/// exponentials.
inline constexpr std::int64_t kKeyBlock = 128;

/// Floats of one packed block of keys ([8 panels][head_dim][16 keys]) and of values ([panels][128 keys][16]).
inline std::int64_t packed_keys_size(const AttentionCall& call) {
  return kKeyBlock * call.shape.head_dim;
}
inline std::int64_t packed_values_size(const AttentionCall& call) {
  return kKeyBlock * call.padded_value_dim();
}

/// What a row of attention knows about the keys it has met, beside its sums of exp(score - largest) * v.
struct SoftmaxState {
  float largest;  // score
  float total;    // of exp(score - largest)
};

struct KernelTable {
  Isa isa;

  /// Rows are packed in tiles of nearly equal size, of at most tile_rows.
  std::int64_t tile_rows;
  /// Packs tiles [tile_begin, tile_end) of `num_rows` rows into `packed_rows` [num_rows * weight.columns].
  void (*pack_rows)(const RowSource& x, std::int64_t num_rows, const PanelView& weight,
                    std::int64_t tile_begin, std::int64_t tile_end, float* packed_rows);
  /// Computes the outputs of panels [panel_begin, panel_end).
  void (*multiply)(const ProductBlock& block, std::int64_t panel_begin, std::int64_t panel_end);

  // Elementwise ops, on whole rows or ranges.
  void (*rms_norm)(const float* x, std::int64_t rows, std::int64_t columns, const float* weight, float eps,
                   float weight_offset, float* y);
  void (*layer_norm)(const float* x, std::int64_t rows, std::int64_t columns, const float* weight,
                     const float* bias, float eps, float* y);
  void (*activate)(Activation activation, float* x, std::int64_t count);
  void (*gated_activate)(Activation activation, float* gate, const float* up, std::int64_t count);
  void (*add)(float* x, const float* y, std::int64_t count);
  void (*rotate)(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t rotary_dim,
                 RotaryStyle style, const float* cosine, const float* sine);
  double (*log_sum_exp)(const float* x, std::int64_t count, std::int64_t* largest);

  // Attention; all null where the reference does it.
  /// Packs one block of keys and values of a key/value head.
  void (*pack_key_block)(const AttentionCall& call, std::int64_t key_head, std::int64_t block,
                         float* packed_keys, float* packed_values);
  /// Computes queries [begin, end) of one head from the packed blocks of its key/value head. `workspace` is
  /// [tile_rows * (head_dim + padded_value_dim)].
  void (*attend_packed)(const AttentionCall& call, std::int64_t head, std::int64_t begin, std::int64_t end,
                        const float* packed_keys, const float* packed_values, float* workspace);
  /// Meets keys [begin, end) with every row of a key/value head, for few rows: row query * heads_per_key + i
  /// is head i of the group. Writes `sums` [rows, value_dim] and `states` [rows].
  void (*attend_keys)(const AttentionCall& call, std::int64_t key_head, std::int64_t begin, std::int64_t end,
                      float* sums, SoftmaxState* states);
};

/// Returns the row of `isa`, which must be one of runnable_isas().
const KernelTable& kernel_table(Isa isa);

}  // namespace farthing::kernels
