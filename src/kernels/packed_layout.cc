#include "kernels/packed_layout.h"

#include <cstring>

#include "tensor/float_types.h"

namespace farthing::kernels {
namespace {

LineFormat format_of(const PackedWeight& weight) {
  switch (weight.data.dtype()) {
    case DType::kF32:
      return LineFormat::kF32;
    case DType::kBF16:
      return LineFormat::kBF16;
    case DType::kF16:
      return LineFormat::kF16;
    default:
      if (weight.table.defined()) return LineFormat::kTable4;
      return weight.bits == 4 ? LineFormat::kCodes4 : LineFormat::kCodes8;
  }
}

// The stored number at (row, column) of a panel; codes are signed again.
float stored_value(const PanelView& weight, const std::byte* panel, std::int64_t row, std::int64_t column) {
  const LineFormat format = weight.format;
  const std::int64_t width = columns_per_line(format), i = column % width;
  const std::byte* line = panel + column / width * kLineBytes;
  if (format == LineFormat::kF16) {
    return fp16_to_float(reinterpret_cast<const std::uint16_t*>(line)[i * kPanelRows + row]);
  }
  std::uint32_t word;
  std::memcpy(&word, line + 4 * row, sizeof(word));
  switch (format) {
    case LineFormat::kBF16:
      return bf16_to_float(static_cast<std::uint16_t>(word >> (16 * i)));
    case LineFormat::kCodes8:
      return static_cast<float>(static_cast<int>(word >> (8 * i) & 0xffu) - 128);
    case LineFormat::kCodes4:
      return static_cast<float>(static_cast<int>(word >> (4 * i) & 0xfu) - 8);
    case LineFormat::kTable4:
      return weight.table[word >> (4 * i) & 0xfu];
    default:
      return std::bit_cast<float>(word);
  }
}

}  // namespace

PanelView view(const PackedWeight& weight) {
  PanelView result{.format = format_of(weight), .rows = weight.rows, .columns = weight.columns};
  const std::int64_t width = columns_per_line(result.format);
  result.lines = (weight.columns + width - 1) / width;
  result.group_size = std::max<std::int64_t>(1, weight.group_size > 0 ? weight.group_size : weight.columns);
  result.groups = std::max<std::int64_t>(1, (weight.columns + result.group_size - 1) / result.group_size);
  result.data = weight.data.bytes().data();
  if (weight.scales.defined()) {
    result.scales = weight.scales.bytes().data();
    result.scale_type = weight.scales.dtype();
  }
  if (weight.table.defined()) result.table = weight.table.data<float>();
  if (weight.zero_points.defined()) result.zero_points = weight.zero_points.data<std::int8_t>();
  return result;
}

float value_at(const PanelView& weight, std::int64_t row, std::int64_t column) {
  const std::int64_t panel = row / kPanelRows, r = row % kPanelRows;
  const float value = stored_value(weight, weight.panel(panel), r, column);
  const std::int64_t at = (panel * weight.groups + column / weight.group_size) * kPanelRows + r;
  const float zero_point = weight.zero_points == nullptr ? 0.0f : static_cast<float>(weight.zero_points[at]);
  float scale = weight.factor;
  if (weight.scales != nullptr) {
    const auto* halves = reinterpret_cast<const std::uint16_t*>(weight.scales) + at;
    scale = weight.scale_type == DType::kBF16  ? bf16_to_float(*halves)
            : weight.scale_type == DType::kF16 ? fp16_to_float(*halves)
                                               : reinterpret_cast<const float*>(weight.scales)[at];
  }
  return (value - zero_point) * scale;
}

}  // namespace farthing::kernels
