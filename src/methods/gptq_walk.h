// The inner loops of GPTQ over some rows of a weight. Rows do not depend on each other.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/thread_pool.h"
#include "scheme/quantization_args.h"

namespace farthing::methods {

/// Everything the walk needs that all rows share. Columns are in walking order.
struct GptqWalk {
  const scheme::QuantizationArgs& args;
  const float* upper;       // U [columns, columns]
  const float* shift_step;  // -P [columns, columns] of GPTAQ, or null
  std::int64_t columns;
  std::int64_t block_size;
  std::span<const std::int32_t> order;     // original column of each
  std::span<const std::int32_t> group_of;  // group of each
  std::int64_t num_groups;
  DType value_dtype;
};

/// Scales and zero points of some rows, group by group: element [group * rows + row].
struct GroupTable {
  std::vector<float> scales, zero_points;
};

/// Fills the table's entries of the group that starts at walking column `first`, from `rows` x columns of the
/// weight as it is now. Called before the first column of every group, when scales are refreshed.
using RefreshGroup = std::function<void(const float* weight, std::int64_t first, GroupTable& table)>;

/// Walks over `rows` rows of `weight` (row-major, destroyed). Writes codes (the Code type of the grid) to
/// original columns of `codes` [rows, columns], and returns the loss.
double walk_columns(const GptqWalk& walk, float* weight, std::int64_t rows, GroupTable& table,
                    const RefreshGroup& refresh, void* codes, ThreadPool& pool);

}  // namespace farthing::methods
