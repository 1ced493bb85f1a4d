#include "scheme/observer.h"

#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace farthing::scheme {
namespace {

constexpr std::int64_t kRowsPerPiece = 16;
constexpr std::int64_t kLanes = 16;  // independent accumulators, so that reductions become vector code

// Ranges of all cells, row-major.
struct Ranges {
  CellGrid grid;
  std::vector<float> lowest, highest;
};

struct CellRange {
  float lowest = 0, highest = 0;  // 0 is always inside
  bool finite = true;
};

CellRange range_of(const float* values, std::int64_t count) {
  std::array<float, kLanes> low{}, high{}, poison{};
  const auto take = [&](std::int64_t lane, float value) {
    low[lane] = value < low[lane] ? value : low[lane];
    high[lane] = value > high[lane] ? value : high[lane];
    poison[lane] += value * 0.0f;  // NaN once anything is not finite
  };
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) take(lane, values[i + lane]);
  }
  for (; i < count; ++i) take(i % kLanes, values[i]);
  CellRange result;
  for (std::int64_t lane = 0; lane < kLanes; ++lane) {
    result.lowest = std::min(result.lowest, low[lane]);
    result.highest = std::max(result.highest, high[lane]);
    result.finite = result.finite && poison[lane] == 0.0f;
  }
  return result;
}

[[noreturn]] void throw_not_finite(const float* row, std::int64_t row_index, std::int64_t columns) {
  const auto* bad = std::find_if(row, row + columns, [](float value) { return !std::isfinite(value); });
  throw Error(Code::kNumeric, "weight has a value that is not finite",
              {{"row", row_index}, {"column", bad - row}, {"value", *bad}},
              "the checkpoint is damaged or overflowed in training");
}

// Calls body(row, first cell of the row in a [rows, scale_columns] table, values of the row).
template <typename Body>
void for_each_row(const Tensor& weight, std::int64_t scale_columns, ThreadPool& pool, const Body& body) {
  const std::int64_t columns = weight.dim(1);
  pool.parallel_for(weight.dim(0), kRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> values(static_cast<std::size_t>(columns));
    for (std::int64_t row = begin; row < end; ++row) {
      copy_as_float32(weight, row * columns, columns, values.data());
      body(row, row * scale_columns, values.data());
    }
  });
}

// Joins the parts of each cell that lie in different rows, in the order of rows. `parts` is [rows,
// scale_columns].
template <typename Join>
std::vector<float> join_rows(const CellGrid& grid, std::vector<float> parts, const Join& join) {
  if (grid.cell_rows == 1) return parts;
  const std::int64_t width = grid.scale_columns();
  std::vector<float> cells(static_cast<std::size_t>(grid.scale_rows() * width));
  for (std::int64_t row = 0; row < grid.rows; ++row) {
    for (std::int64_t column = 0; column < width; ++column) {
      float& cell = cells[row / grid.cell_rows * width + column];
      const float part = parts[row * width + column];
      cell = row % grid.cell_rows == 0 ? part : join(cell, part);
    }
  }
  return cells;
}

Ranges ranges_of(const Tensor& weight, const CellGrid& grid, ThreadPool& pool) {
  const std::int64_t width = grid.scale_columns();
  std::vector<float> lowest(static_cast<std::size_t>(grid.rows * width)), highest(lowest.size());
  for_each_row(weight, width, pool, [&](std::int64_t row, std::int64_t first, const float* values) {
    for (std::int64_t column = 0; column < width; ++column) {
      const std::int64_t begin = column * grid.cell_columns;
      const CellRange range = range_of(values + begin, std::min(grid.cell_columns, grid.columns - begin));
      if (!range.finite) throw_not_finite(values, row, grid.columns);
      lowest[first + column] = range.lowest;
      highest[first + column] = range.highest;
    }
  });
  return {.grid = grid,
          .lowest = join_rows(grid, std::move(lowest), [](float a, float b) { return std::min(a, b); }),
          .highest = join_rows(grid, std::move(highest), [](float a, float b) { return std::max(a, b); })};
}

struct ShrinkSearch {
  double maxshrink, grid, norm, expand;
  int patience;
};

// magnitude ^ norm in the arithmetic of a dtype, norm included. 16-bit types have so few magnitudes that a
// table holds all.
template <DType kArithmetic>
class Power {
 public:
  explicit Power(double norm) : norm_(round_to<kArithmetic>(static_cast<float>(norm))) {
    if constexpr (kArithmetic == DType::kF32) return;
    table_.resize(1u << 15);
    for (std::uint32_t bits = 0; bits < table_.size(); ++bits) {
      const auto half = static_cast<std::uint16_t>(bits);
      table_[bits] = power(kArithmetic == DType::kBF16 ? bf16_to_float(half) : fp16_to_float(half));
    }
  }

  float operator()(float magnitude) const {
    if constexpr (kArithmetic == DType::kBF16) return table_[std::bit_cast<std::uint32_t>(magnitude) >> 16];
    if constexpr (kArithmetic == DType::kF16) return table_[float_to_fp16(magnitude)];
    return power(magnitude);
  }

 private:
  float power(float magnitude) const {
    constexpr auto round = round_to<kArithmetic>;
    if (norm_ == 2.0f) return round(magnitude * magnitude);
    if (norm_ == 3.0f) return round(round(magnitude * magnitude) * magnitude);
    return round(std::pow(magnitude, norm_));
  }

  float norm_;
  std::vector<float> table_;
};

// |fakequant(x) - x| of one cell.
template <DType kArithmetic, bool kSymmetric, typename Grid>
void rounding_errors(const float* values, std::int64_t count, ScaleZero cell, const Grid& numbers,
                     float* errors) {
  constexpr auto round = round_to<kArithmetic>;
  for (std::int64_t i = 0; i < count; ++i) {
    const float code = snap_scaled<kArithmetic, kSymmetric>(values[i], cell.scale, cell.zero_point, numbers);
    const float value = round((kSymmetric ? code : code - cell.zero_point) * cell.scale);
    errors[i] = std::fabs(round(value - values[i]));
  }
}

// Sum of error^norm (times weight). Several running sums, so that additions need not wait for each other.
template <typename Power>
float sum_of_powers(const float* errors, std::int64_t count, const Power& power, const float* weights) {
  std::array<float, 8> sums{};
  for (std::int64_t i = 0; i < count; ++i) {
    const float term = power(errors[i]);
    sums[i % 8] += weights != nullptr ? weights[i] * term : term;
  }
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// Sum of error^norm (times importance) per cell, for one candidate range.
template <DType kArithmetic, typename Grid>
std::vector<float> cell_errors(const Tensor& weight, const CellGrid& grid, std::span<const ScaleZero> cells,
                               bool symmetric, const Grid& numbers, const Power<kArithmetic>& power,
                               std::span<const float> importance, ThreadPool& pool) {
  const std::int64_t width = grid.scale_columns();
  std::vector<float> sums(static_cast<std::size_t>(grid.rows * width));
  for_each_row(weight, width, pool, [&](std::int64_t row, std::int64_t first, float* values) {
    for (std::int64_t column = 0; column < width; ++column) {
      const std::int64_t begin = column * grid.cell_columns;
      const std::int64_t count = std::min(grid.cell_columns, grid.columns - begin);
      const ScaleZero cell = cells[row / grid.cell_rows * width + column];
      if (cell.scale == 0.0f) continue;
      const auto errors =
          symmetric ? rounding_errors<kArithmetic, true, Grid> : rounding_errors<kArithmetic, false, Grid>;
      errors(values + begin, count, cell, numbers, values + begin);
      const float* weights = importance.empty() ? nullptr : importance.data() + begin;
      sums[first + column] = sum_of_powers(values + begin, count, power, weights);
    }
  });
  sums = join_rows(grid, std::move(sums), [](float a, float b) { return a + b; });
  if (importance.empty()) {
    for (float& sum : sums) sum = round_to<kArithmetic>(sum);
  }
  return sums;
}

// Shrinks both ends of every range by the same factor, 1, 1 - 1/grid, ..., and keeps what fits best cell by
// cell. Stops when `patience` factors in a row improved no cell.
template <DType kArithmetic>
void shrink(const Tensor& weight, const QuantizationArgs& args, const ShrinkSearch& search,
            std::span<const float> importance, Ranges& ranges, ThreadPool& pool) {
  constexpr auto round = round_to<kArithmetic>;
  const Power<kArithmetic> power(search.norm);
  const std::size_t num_cells = ranges.lowest.size();
  const std::vector<float> lowest = ranges.lowest, highest = ranges.highest;
  std::vector<float> best(num_cells, std::numeric_limits<float>::infinity());
  std::vector<ScaleZero> cells(num_cells);
  int fails = 0;
  for (int step = 0; step < static_cast<int>(search.maxshrink * search.grid) && fails < search.patience;
       ++step) {
    const auto factor = static_cast<float>((1.0 - step / search.grid) * search.expand);
    for (std::size_t i = 0; i < num_cells; ++i) {
      cells[i] = scale_from_range<kArithmetic>(round(factor * lowest[i]), round(factor * highest[i]), args);
    }
    const std::vector<float> errors = with_grid(args, [&](const auto& numbers) {
      return cell_errors<kArithmetic>(weight, ranges.grid, cells, args.symmetric, numbers, power, importance,
                                      pool);
    });
    bool improved = false;
    for (std::size_t i = 0; i < num_cells; ++i) {
      if (!(errors[i] < best[i])) continue;
      best[i] = errors[i];
      ranges.lowest[i] = round(factor * lowest[i]);
      ranges.highest[i] = round(factor * highest[i]);
      improved = true;
    }
    fails = improved ? 0 : fails + 1;
  }
}

double number_or(const Json& kwargs, std::string_view key, double fallback) {
  const auto found = kwargs.find(key);
  if (found == kwargs.end() || found->is_null()) return fallback;
  FARTHING_REQUIRE(found->is_number(), Code::kInvalidArgument, "observer_kwargs: not a number",
                   {{"key", key}, {"value", found->dump()}});
  return found->get<double>();
}

// Returns the search that an observer makes, or nothing when it takes the range as it is.
std::optional<ShrinkSearch> search_of(const QuantizationArgs& args, std::span<const float> importance) {
  const std::string_view name = args.observer;
  ShrinkSearch search{};
  if (name.empty() || name == "minmax" || name == "memoryless_minmax" || name == "static_minmax")
    return std::nullopt;
  if (name == "mse" || name == "memoryless_mse") {
    search = {.maxshrink = 0.20, .grid = 100, .norm = 2.4, .expand = 1, .patience = 5};
  } else if (name == "imatrix_mse") {
    FARTHING_REQUIRE(!importance.empty(), Code::kInvalidArgument,
                     "observer imatrix_mse needs calibration data", {{"observer", name}});
    search = {.maxshrink = 0.95, .grid = 20, .norm = 3, .expand = 1, .patience = 5};
  } else {
    throw Error(Code::kUnsupported, "unknown observer", {{"observer", name}},
                "weights can use minmax, mse or imatrix_mse");
  }
  search.maxshrink = number_or(args.observer_kwargs, "maxshrink", search.maxshrink);
  search.grid = number_or(args.observer_kwargs, "grid", search.grid);
  search.norm = number_or(args.observer_kwargs, "norm", search.norm);
  search.patience = static_cast<int>(number_or(args.observer_kwargs, "patience", search.patience));
  FARTHING_REQUIRE(search.maxshrink > 0 && search.maxshrink <= 1 && search.grid >= 1 &&
                       search.grid <= 10000 && search.norm > 0,
                   Code::kInvalidArgument, "observer_kwargs are not possible",
                   {{"maxshrink", search.maxshrink}, {"grid", search.grid}, {"norm", search.norm}});
  return search;
}

}  // namespace

QuantizationParameters observe(const Tensor& weight, const QuantizationArgs& args,
                               const ObserverOptions& options, ThreadPool& pool) {
  FARTHING_CHECK(weight.rank() == 2 && is_floating_point(weight.dtype()), "weight {}",
                 to_string(weight.shape()));
  FARTHING_CHECK(options.importance.empty() ||
                 static_cast<std::int64_t>(options.importance.size()) == weight.dim(1));
  const std::optional<ShrinkSearch> search = search_of(args, options.importance);
  Ranges ranges = ranges_of(weight, cell_grid(args, weight.dim(0), weight.dim(1)), pool);
  if (search) {
    const std::span<const float> importance =
        args.observer == "imatrix_mse" ? options.importance : std::span<const float>();
    with_arithmetic(weight.dtype(), [&]<DType kArithmetic>() {
      shrink<kArithmetic>(weight, args, *search, importance, ranges, pool);
    });
  }
  float global_scale = 0;
  if (args.strategy == Strategy::kTensorGroup) {
    global_scale = options.global_scale ? *options.global_scale : global_scale_of(weight, pool);
  }
  return parameters_from_ranges(ranges.lowest, ranges.highest, ranges.grid, args, weight.dtype(),
                                options.model_dtype, global_scale);
}

float global_scale_of(const Tensor& weight, ThreadPool& pool) {
  const CellGrid whole{.rows = weight.dim(0),
                       .columns = weight.dim(1),
                       .cell_rows = std::max<std::int64_t>(weight.dim(0), 1),
                       .cell_columns = std::max<std::int64_t>(weight.dim(1), 1)};
  const Ranges range = ranges_of(weight, whole, pool);
  const float amax = range.lowest.empty() ? 0.0f : std::max(-range.lowest[0], range.highest[0]);
  return global_scale_from_amax(amax, weight.dtype());
}

}  // namespace farthing::scheme
