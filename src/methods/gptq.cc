#include "methods/gptq.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "kernels/linalg.h"
#include "methods/gptq_walk.h"
#include "methods/rtn.h"
#include "scheme/quantizer.h"

namespace farthing::methods {
namespace {

using scheme::ActivationOrder;
using scheme::QuantizationArgs;

constexpr std::int64_t kRowsPerPiece =
    64;  // of a weight walked by one thread; large enough to use U well while it is in cache

std::int64_t group_width(const QuantizationArgs& args, std::int64_t columns) {
  return scheme::cell_grid(args, 1, columns).cell_columns;
}

// Columns by descending diagonal; equal ones keep their order.
std::vector<std::int32_t> descending(std::span<const float> diagonal) {
  std::vector<std::int32_t> order(diagonal.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) { return diagonal[a] > diagonal[b]; });
  return order;
}

// Groups by their largest diagonal, and the columns of each by theirs.
std::vector<std::int32_t> descending_in_groups(std::span<const float> diagonal, std::int64_t width) {
  const auto columns = static_cast<std::int64_t>(diagonal.size());
  std::vector<std::vector<std::int32_t>> groups;
  for (std::int64_t begin = 0; begin < columns; begin += width) {
    std::vector<std::int32_t> group = descending(diagonal.subspan(begin, std::min(width, columns - begin)));
    for (std::int32_t& column : group) column += static_cast<std::int32_t>(begin);
    groups.push_back(std::move(group));
  }
  std::stable_sort(groups.begin(), groups.end(),
                   [&](const auto& a, const auto& b) { return diagonal[a[0]] > diagonal[b[0]]; });
  std::vector<std::int32_t> order;
  for (const auto& group : groups) order.insert(order.end(), group.begin(), group.end());
  return order;
}

std::vector<std::int32_t> walking_order(std::span<const float> diagonal, const QuantizationArgs& args,
                                        const GptqOptions& options) {
  if (args.actorder != ActivationOrder::kNone) return descending(diagonal);
  if (options.group_aware_order)
    return descending_in_groups(diagonal, group_width(args, static_cast<std::int64_t>(diagonal.size())));
  std::vector<std::int32_t> order(diagonal.size());
  std::iota(order.begin(), order.end(), 0);
  return order;
}

void require_possible(const QuantizationArgs& args, const GptqOptions& options) {
  scheme::require_weight_args(args, "weights");
  FARTHING_REQUIRE(
      options.block_size > 0 && options.dampening_frac >= 0 && std::isfinite(options.dampening_frac),
      Code::kInvalidArgument, "GPTQ options are not possible",
      {{"block_size", options.block_size}, {"dampening_frac", options.dampening_frac}});
  FARTHING_REQUIRE(options.gptaq_alpha >= 0 && options.gptaq_alpha <= 1, Code::kInvalidArgument,
                   "the share that GPTAQ makes up for should be from 0 to 1",
                   {{"gptaq_alpha", options.gptaq_alpha}});
  FARTHING_REQUIRE(!options.refresh_scales || args.actorder != ActivationOrder::kWeight,
                   Code::kInvalidArgument,
                   "scales cannot be refreshed when groups are not walked one after another",
                   {{"actorder", "weight"}}, "use static_groups, or actorder group");
}

// Copies a matrix over the inputs in walking order.
void permute(const Tensor& matrix, std::span<const std::int32_t> order, Tensor& out, ThreadPool& pool) {
  const std::int64_t size = matrix.dim(0);
  const float* in = matrix.data<float>();
  float* result = out.mutable_data<float>();
  pool.parallel_for(size, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* row = in + order[i] * size;
      for (std::int64_t j = 0; j < size; ++j) result[i * size + j] = row[order[j]];
    }
  });
}

// -P of GPTAQ.
Tensor shift_step_of(const Tensor& shift, const GptqFactor& factor, double alpha, ThreadPool& pool) {
  const std::int64_t size = shift.dim(0);
  Tensor inner = Tensor::zeros(DType::kF32, {size, size});
  {
    Tensor ordered = Tensor::empty(DType::kF32, {size, size});
    permute(shift, factor.order, ordered, pool);
    kernels::subtract_product_transposed(ordered.data<float>(), factor.upper.data<float>(), size, size, size,
                                         inner.mutable_data<float>(), pool);  // -D U^T
  }
  float* values = inner.mutable_data<float>();
  for (std::int64_t i = 0; i < size; ++i) {
    for (std::int64_t j = 0; j < size; ++j)
      values[i * size + j] *= j > i ? static_cast<float>(-alpha) : 0.0f;  // alpha triu(D U^T, 1)
  }
  Tensor step = Tensor::zeros(DType::kF32, {size, size});
  kernels::subtract_product(values, size, factor.upper.data<float>(), size, size, size, size,
                            step.mutable_data<float>(), size, pool);
  return step;
}

GptqFactor without_hessian(GptqFactor factor, std::string problem) {
  factor.status = GptqStatus::kRoundedToNearest;
  factor.problem = std::move(problem);
  factor.upper = Tensor();
  return factor;
}

// The weight with its columns in walking order, in its own dtype.
Tensor permute_columns(const Tensor& weight, std::span<const std::int32_t> order) {
  Tensor result = Tensor::empty(weight.dtype(), weight.shape());
  const auto copy = [&]<typename T>(T) {
    const T* in = reinterpret_cast<const T*>(weight.bytes().data());
    T* out = reinterpret_cast<T*>(result.mutable_bytes().data());
    const std::int64_t columns = weight.dim(1);
    for (std::int64_t row = 0; row < weight.dim(0); ++row) {
      for (std::int64_t j = 0; j < columns; ++j) out[row * columns + j] = in[row * columns + order[j]];
    }
  };
  if (dtype_bits(weight.dtype()) == 32) {
    copy(std::uint32_t{});
  } else {
    FARTHING_CHECK(dtype_bits(weight.dtype()) == 16, "{}", dtype_name(weight.dtype()));
    copy(std::uint16_t{});
  }
  return result;
}

// One weight on its way: what all row pieces share.
struct Run {
  const Tensor& weight;
  const GptqFactor& factor;
  const QuantizationArgs& args;
  const GptqOptions& options;
  GptqWalk walk;
  QuantizedMatrix& result;
  Tensor scales;  // effective ones
  ThreadPool& pool;
};

// The rows [begin, end) as fp32 in walking order; inputs that were always 0 have no weight.
std::vector<float> load_rows(const Run& run, std::int64_t begin, std::int64_t end) {
  const std::int64_t columns = run.walk.columns;
  std::vector<float> row(static_cast<std::size_t>(columns)),
      result(static_cast<std::size_t>((end - begin) * columns));
  for (std::int64_t r = begin; r < end; ++r) {
    copy_as_float32(run.weight, r * columns, columns, row.data());
    float* out = result.data() + (r - begin) * columns;
    for (std::int64_t j = 0; j < columns; ++j) {
      const std::int32_t column = run.walk.order[j];
      out[j] = run.factor.diagonal[column] == 0.0f ? 0.0f : row[column];
    }
  }
  return result;
}

GroupTable group_table(const Run& run, std::int64_t begin, std::int64_t end) {
  const std::int64_t rows = end - begin, groups = run.walk.num_groups;
  GroupTable table{.scales = std::vector<float>(static_cast<std::size_t>(rows * groups)), .zero_points = {}};
  table.zero_points.resize(table.scales.size());
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t first_cell = (begin + r) / run.result.rows_per_scale() * groups;
    for (std::int64_t group = 0; group < groups; ++group) {
      table.scales[group * rows + r] = run.scales.data<float>()[first_cell + group];
      if (!run.result.symmetric)
        table.zero_points[group * rows + r] = run.result.zero_points.data<std::int8_t>()[first_cell + group];
    }
  }
  return table;
}

// Observes the group that starts at walking column `first` in rows [begin, end) and notes its scales in table
// and result.
void refresh_group(const Run& run, std::int64_t begin, std::int64_t end, const float* weight,
                   std::int64_t first, GroupTable& table) {
  const std::int64_t rows = end - begin, columns = run.walk.columns;
  const std::int64_t width = std::min(run.result.group_size, columns - first),
                     group = run.walk.group_of[first];
  Tensor part = Tensor::empty(DType::kF32, {rows, width});
  for (std::int64_t r = 0; r < rows; ++r) {
    std::copy_n(weight + r * columns + first, width, part.mutable_data<float>() + r * width);
  }
  QuantizationArgs channel = run.args;
  channel.strategy = scheme::Strategy::kChannel;
  channel.group_size.reset();
  channel.actorder = ActivationOrder::kNone;
  const scheme::QuantizationParameters found =
      scheme::observe(part, channel, {.model_dtype = run.options.observer.model_dtype}, run.pool);
  const Tensor values = to_float32(found.scales);
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t cell = (begin + r) * run.walk.num_groups + group;
    table.scales[group * rows + r] = scheme::store_scale(run.result.scales, cell, values.data<float>()[r]);
    if (run.result.symmetric) continue;
    const std::int8_t zero = found.zero_points.data<std::int8_t>()[r];
    table.zero_points[group * rows + r] = zero;
    run.result.zero_points.mutable_data<std::int8_t>()[cell] = zero;
  }
}

double walk_all_rows(const Run& run) {
  const std::int64_t rows = run.result.rows;
  std::vector<double> losses(static_cast<std::size_t>((rows + kRowsPerPiece - 1) / kRowsPerPiece));
  run.pool.parallel_for(rows, kRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> weight = load_rows(run, begin, end);
    GroupTable table = group_table(run, begin, end);
    RefreshGroup refresh;
    if (run.options.refresh_scales && run.result.granularity == Granularity::kGroup) {
      refresh = [&](const float* now, std::int64_t first, GroupTable& into) {
        refresh_group(run, begin, end, now, first, into);
      };
    }
    std::byte* codes = run.result.codes.mutable_bytes().data() + begin * run.walk.columns;
    losses[begin / kRowsPerPiece] =
        walk_columns(run.walk, weight.data(), end - begin, table, refresh, codes, run.pool);
  });
  return std::accumulate(losses.begin(), losses.end(), 0.0);
}

GptqResult round_to_nearest(const Tensor& weight, const QuantizationArgs& args,
                            const scheme::ObserverOptions& observer, std::string problem,
                            const GptqFactor& factor, ThreadPool& pool) {
  return {.weight = rtn(weight, args, observer, pool),
          .status = GptqStatus::kRoundedToNearest,
          .problem = std::move(problem),
          .dampening_frac = factor.dampening_frac,
          .dead_columns = factor.dead_columns};
}

}  // namespace

GptqFactor gptq_prepare(Tensor hessian, const QuantizationArgs& args, const GptqOptions& options,
                        ThreadPool& pool, const Tensor& shift) {
  require_possible(args, options);
  const std::int64_t size = hessian.dim(0);
  FARTHING_CHECK(hessian.rank() == 2 && hessian.dim(1) == size && hessian.dtype() == DType::kF32, "{}",
                 to_string(hessian.shape()));
  GptqFactor factor{.dampening_frac = options.dampening_frac};
  std::vector<float> diagonal(static_cast<std::size_t>(size));
  for (std::int64_t i = 0; i < size; ++i) diagonal[i] = hessian.data<float>()[i * size + i];
  factor.diagonal = diagonal;
  factor.dead_columns = std::count(diagonal.begin(), diagonal.end(), 0.0f);
  std::replace(diagonal.begin(), diagonal.end(), 0.0f, 1.0f);
  factor.order.resize(diagonal.size());
  std::iota(factor.order.begin(), factor.order.end(), 0);
  if (!all_finite(hessian)) return without_hessian(std::move(factor), "the Hessian is not finite");
  if (factor.dead_columns == size) return without_hessian(std::move(factor), "all inputs were zero");

  factor.order = walking_order(diagonal, args, options);
  factor.upper = Tensor::empty(DType::kF32, {size, size});
  const double mean = std::accumulate(diagonal.begin(), diagonal.end(), 0.0) / static_cast<double>(size);
  std::int64_t pivot = -1;
  for (int attempt = 0; attempt <= options.max_dampening_retries; ++attempt) {
    permute(hessian, factor.order, factor.upper, pool);
    float* upper = factor.upper.mutable_data<float>();
    for (std::int64_t i = 0; i < size; ++i)
      upper[i * size + i] = diagonal[factor.order[i]] + static_cast<float>(factor.dampening_frac * mean);
    pivot = kernels::inverse_cholesky_upper(upper, size, pool);
    if (pivot < 0) {
      if (shift.defined()) factor.shift_step = shift_step_of(shift, factor, options.gptaq_alpha, pool);
      return factor;
    }
    factor.status = GptqStatus::kDampened;
    factor.problem = fmt::format("the Hessian was not positive definite at input {}", factor.order[pivot]);
    if (attempt < options.max_dampening_retries)
      factor.dampening_frac = std::max(factor.dampening_frac * 10, 1e-3);
  }
  std::string problem = factor.problem;
  return without_hessian(std::move(factor), std::move(problem));
}

GptqResult gptq(const Tensor& weight, const GptqFactor& factor, const QuantizationArgs& args,
                const GptqOptions& options, ThreadPool& pool) {
  require_possible(args, options);
  FARTHING_CHECK(weight.rank() == 2 && weight.dim(1) == static_cast<std::int64_t>(factor.diagonal.size()),
                 "{}", to_string(weight.shape()));
  const std::int64_t columns = weight.dim(1), width = group_width(args, columns);
  scheme::ObserverOptions observer = options.observer;
  observer.importance = factor.diagonal;
  if (factor.status == GptqStatus::kRoundedToNearest) {
    return round_to_nearest(weight, args, observer, factor.problem, factor, pool);
  }

  const bool groups_as_walked = args.actorder == ActivationOrder::kGroup;
  std::vector<float> importance = factor.diagonal;
  if (groups_as_walked) {
    for (std::int64_t j = 0; j < columns; ++j) importance[j] = factor.diagonal[factor.order[j]];
    observer.importance = importance;
  }
  const Tensor observed = groups_as_walked ? permute_columns(weight, factor.order) : weight;
  GptqResult result{.status = factor.status,
                    .problem = factor.problem,
                    .dampening_frac = factor.dampening_frac,
                    .dead_columns = factor.dead_columns};
  result.weight =
      scheme::empty_matrix(args, weight.dim(0), columns, scheme::observe(observed, args, observer, pool));
  std::vector<std::int32_t> group_of(static_cast<std::size_t>(columns));
  for (std::int64_t j = 0; j < columns; ++j) {
    group_of[j] = static_cast<std::int32_t>((groups_as_walked ? j : factor.order[j]) / width);
  }
  if (groups_as_walked) {
    result.weight.group_index = Tensor::empty(DType::kI32, {columns});
    for (std::int64_t j = 0; j < columns; ++j)
      result.weight.group_index.mutable_data<std::int32_t>()[factor.order[j]] = group_of[j];
  }

  const DType scale_dtype = result.weight.scales.dtype();
  const bool is_value_dtype = scale_dtype == DType::kBF16 || scale_dtype == DType::kF16;
  const Run run{weight,
                factor,
                args,
                options,
                {.args = args,
                 .upper = factor.upper.data<float>(),
                 .shift_step = factor.shift_step.defined() ? factor.shift_step.data<float>() : nullptr,
                 .columns = columns,
                 .block_size = std::min(options.block_size, columns),
                 .order = factor.order,
                 .group_of = group_of,
                 .num_groups = result.weight.num_groups(),
                 .value_dtype = options.value_dtype.value_or(is_value_dtype ? scale_dtype : DType::kF32)},
                result.weight,
                scheme::effective_scales(result.weight),
                pool};
  result.loss = walk_all_rows(run);
  if (!std::isfinite(result.loss))
    return round_to_nearest(weight, args, observer, "the weight grew beyond all bounds", factor, pool);
  return result;
}

GptqResult gptq(const Tensor& weight, Tensor hessian, const QuantizationArgs& args,
                const GptqOptions& options, ThreadPool& pool) {
  return gptq(weight, gptq_prepare(std::move(hessian), args, options, pool), args, options, pool);
}

}  // namespace farthing::methods
