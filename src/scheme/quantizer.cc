#include "scheme/quantizer.h"

#include <array>
#include <cmath>

#include "base/error.h"

namespace farthing::scheme {
namespace {

constexpr std::int64_t kQuantizedRowsPerPiece = 16;

// Overwrites `values`. Two loops, because in a single one the compiler finds paths to branch on.
template <DType kArithmetic, bool kSymmetric, typename Grid>
void quantize_cell(float* values, std::int64_t count, ScaleZero cell, const Grid& numbers,
                   typename Grid::Code* codes) {
  for (std::int64_t i = 0; i < count; ++i) {
    values[i] = snap_scaled<kArithmetic, kSymmetric>(values[i], cell.scale, cell.zero_point, numbers);
  }
  for (std::int64_t i = 0; i < count; ++i) codes[i] = Grid::encode(values[i]);
}

// Values of all codes of a floating-point grid.
const float* code_values(DType codes_dtype) {
  static const auto tables = [] {
    std::array<std::array<float, 256>, 2> result{};
    for (int code = 0; code < 256; ++code) {
      result[0][code] = fp8_e4m3_to_float(static_cast<std::uint8_t>(code));
      result[1][code] = fp4_e2m1_to_float(static_cast<std::uint8_t>(code));
    }
    return result;
  }();
  return tables[codes_dtype == DType::kU8].data();
}

template <typename Code>
Code* mutable_codes(Tensor& codes) {
  return reinterpret_cast<Code*>(codes.mutable_bytes().data());
}

}  // namespace

QuantizedMatrix empty_matrix(const QuantizationArgs& args, std::int64_t rows, std::int64_t columns,
                             QuantizationParameters parameters) {
  const CellGrid grid = cell_grid(args, rows, columns);
  FARTHING_CHECK(parameters.scales.shape() == Shape({grid.scale_rows(), grid.scale_columns()}), "{}",
                 to_string(parameters.scales.shape()));
  QuantizedMatrix matrix{.rows = rows,
                         .columns = columns,
                         .bits = args.num_bits,
                         .type = args.type,
                         .granularity = granularity_of(args),
                         .group_size = grid.cell_columns,
                         .block_rows = grid.cell_rows,
                         .symmetric = args.symmetric};
  if (matrix.granularity != Granularity::kBlock) matrix.block_rows = 1;
  const DType dtype = args.type == NumberType::kInt ? DType::kI8
                      : args.num_bits == 8          ? DType::kF8E4M3
                                                    : DType::kU8;
  matrix.codes = Tensor::empty(dtype, {rows, columns});
  matrix.scales = std::move(parameters.scales);
  matrix.zero_points = std::move(parameters.zero_points);
  matrix.global_scale = parameters.global_scale;
  return matrix;
}

QuantizedMatrix quantize(const Tensor& weight, const QuantizationArgs& args,
                         QuantizationParameters parameters, ThreadPool& pool) {
  FARTHING_CHECK(weight.rank() == 2, "weight {}", to_string(weight.shape()));
  const std::int64_t columns = weight.dim(1);
  QuantizedMatrix matrix = empty_matrix(args, weight.dim(0), columns, std::move(parameters));
  const Tensor scales = effective_scales(matrix);
  const DType arithmetic = weight.dtype() == matrix.scales.dtype() ? weight.dtype() : DType::kF32;
  const std::int64_t width = matrix.num_groups(), rows_per_scale = matrix.rows_per_scale();
  const std::int8_t* zero_points = matrix.symmetric ? nullptr : matrix.zero_points.data<std::int8_t>();
  const auto quantize_rows = [&]<DType kArithmetic>(const auto& numbers, std::int64_t begin,
                                                    std::int64_t end) {
    using Grid = std::decay_t<decltype(numbers)>;
    using Code = typename Grid::Code;
    std::vector<float> values(static_cast<std::size_t>(columns));
    for (std::int64_t row = begin; row < end; ++row) {
      copy_as_float32(weight, row * columns, columns, values.data());
      for (std::int64_t group = 0; group < width; ++group) {
        const std::int64_t cell = row / rows_per_scale * width + group, first = group * matrix.group_size;
        const ScaleZero scale{scales.data<float>()[cell],
                              zero_points ? static_cast<float>(zero_points[cell]) : 0.0f};
        const auto cell_codes = matrix.symmetric ? quantize_cell<kArithmetic, true, Grid>
                                                 : quantize_cell<kArithmetic, false, Grid>;
        cell_codes(values.data() + first, std::min(matrix.group_size, columns - first), scale, numbers,
                   mutable_codes<Code>(matrix.codes) + row * columns + first);
      }
    }
  };
  with_arithmetic(arithmetic, [&]<DType kArithmetic>() {
    with_grid(args, [&](const auto& numbers) {
      pool.parallel_for(matrix.rows, kQuantizedRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
        quantize_rows.template operator()<kArithmetic>(numbers, begin, end);
      });
    });
  });
  return matrix;
}

Tensor effective_scales(const QuantizedMatrix& matrix) {
  Tensor scales = to_float32(matrix.scales);
  if (matrix.global_scale == 0.0f) return scales;
  if (scales.dtype() == matrix.scales.dtype()) scales = scales.clone();
  float* values = scales.mutable_data<float>();
  for (std::int64_t i = 0; i < scales.numel(); ++i) values[i] /= matrix.global_scale;
  return scales;
}

// LLM.int8 divides the product by its global scale, NVFP4 the scale of the group.
RowDequantizer::RowDequantizer(const QuantizedMatrix& matrix)
    : matrix_(matrix),
      scales_(matrix.type == NumberType::kInt ? to_float32(matrix.scales) : effective_scales(matrix)),
      divisor_(matrix.type == NumberType::kInt ? matrix.global_scale : 0) {}

void RowDequantizer::row(std::int64_t row, float* values) const {
  const std::int64_t columns = matrix_.columns, width = matrix_.num_groups();
  const std::int64_t first_cell = row / matrix_.rows_per_scale() * width;
  const float* scales = scales_.data<float>() + first_cell;
  const std::int8_t* zero_points =
      matrix_.symmetric ? nullptr : matrix_.zero_points.data<std::int8_t>() + first_cell;
  if (matrix_.type == NumberType::kInt) {
    const std::int8_t* codes = matrix_.codes.data<std::int8_t>() + row * columns;
    for (std::int64_t i = 0; i < columns; ++i) values[i] = static_cast<float>(codes[i]);
  } else {
    const float* table =
        matrix_.table.defined() ? matrix_.table.data<float>() : code_values(matrix_.codes.dtype());
    const auto* codes = reinterpret_cast<const std::uint8_t*>(matrix_.codes.bytes().data()) + row * columns;
    for (std::int64_t i = 0; i < columns; ++i) values[i] = table[codes[i]];
  }
  const auto scale_one = [&](std::int64_t i, std::int64_t group) {
    const float zero = zero_points ? static_cast<float>(zero_points[group]) : 0.0f;
    values[i] = (values[i] - zero) * scales[group];
  };
  if (matrix_.group_index.defined()) {
    const std::int32_t* groups = matrix_.group_index.data<std::int32_t>();
    for (std::int64_t i = 0; i < columns; ++i) scale_one(i, groups[i]);
  } else {
    for (std::int64_t group = 0; group < width; ++group) {
      const std::int64_t begin = group * matrix_.group_size,
                         end = std::min(begin + matrix_.group_size, columns);
      for (std::int64_t i = begin; i < end; ++i) scale_one(i, group);
    }
  }
  if (divisor_ == 0) return;
  for (std::int64_t i = 0; i < columns; ++i) values[i] /= divisor_;
}

Tensor dequantize(const QuantizedMatrix& matrix, ThreadPool& pool, DType rounding) {
  Tensor result = Tensor::empty(DType::kF32, {matrix.rows, matrix.columns});
  float* values = result.mutable_data<float>();
  const RowDequantizer dequantizer(matrix);
  with_arithmetic(rounding, [&]<DType kRounding>() {
    pool.parallel_for(matrix.rows, kQuantizedRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) dequantizer.row(row, values + row * matrix.columns);
      for (std::int64_t i = begin * matrix.columns; i < end * matrix.columns; ++i)
        values[i] = round_to<kRounding>(values[i]);
    });
  });
  return result;
}

QuantizationError measure_error(const Tensor& weight, const QuantizedMatrix& matrix, ThreadPool& pool) {
  FARTHING_CHECK(weight.shape() == Shape({matrix.rows, matrix.columns}), "{}", to_string(weight.shape()));
  struct RowSums {
    double error = 0, energy = 0, max_abs = 0;
  };
  std::vector<RowSums> rows(static_cast<std::size_t>(matrix.rows));
  const RowDequantizer dequantizer(matrix);
  pool.parallel_for(matrix.rows, kQuantizedRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> original(static_cast<std::size_t>(matrix.columns)), quantized(original.size());
    for (std::int64_t row = begin; row < end; ++row) {
      copy_as_float32(weight, row * matrix.columns, matrix.columns, original.data());
      dequantizer.row(row, quantized.data());
      RowSums sums;
      for (std::size_t i = 0; i < original.size(); ++i) {
        const double difference = static_cast<double>(quantized[i]) - original[i];
        sums.error += difference * difference;
        sums.energy += static_cast<double>(original[i]) * original[i];
        sums.max_abs = std::max(sums.max_abs, std::fabs(difference));
      }
      rows[row] = sums;
    }
  });
  RowSums total;
  for (const RowSums& row : rows) {
    total.error += row.error;
    total.energy += row.energy;
    total.max_abs = std::max(total.max_abs, row.max_abs);
  }
  QuantizationError result{
      .mse = weight.numel() > 0 ? total.error / static_cast<double>(weight.numel()) : 0.0,
      .max_abs = total.max_abs};
  result.relative = total.error == 0 ? 0.0 : std::sqrt(total.error / total.energy);
  result.sqnr_db = -20 * std::log10(result.relative);
  return result;
}

}  // namespace farthing::scheme
