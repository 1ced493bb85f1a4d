// Arranges weights as packed_layout.h describes, on one thread: a panel of 16 rows is read once and written
// once.
#include <array>
#include <cstring>
#include <numeric>

#include "kernels/packed_layout.h"
#include "kernels/reference/linear.h"
#include "tensor/float_types.h"

namespace farthing::kernels {
namespace {

using Names = std::array<std::string_view, 3>;  // by Isa

std::string_view kernel_name(const Names& names, Isa isa) {
  return names[static_cast<std::size_t>(isa)];
}

constexpr Names kDenseF32{"f32_scalar", "f32_avx2", "f32_avx512"};
constexpr Names kDenseBF16{"bf16_scalar", "bf16_avx2", "bf16_avx512"};
constexpr Names kDenseF16{"f16_scalar", "f16_avx2", "f16_avx512"};
constexpr Names kCodes8{"w8a16_scalar", "w8a16_avx2", "w8a16_avx512"};
constexpr Names kCodes4{"w4a16_scalar", "w4a16_avx2", "w4a16_avx512"};
constexpr Names kTable4{"table4_scalar", "table4_avx2", "table4_avx512"};
constexpr Names kDequantized{"dequantized_f32_scalar", "dequantized_f32_avx2", "dequantized_f32_avx512"};

Tensor zero_lines(DType dtype, std::int64_t rows, std::int64_t columns, LineFormat format) {
  const std::int64_t panels = (rows + kPanelRows - 1) / kPanelRows, width = columns_per_line(format);
  const std::int64_t lines = (columns + width - 1) / width;
  return Tensor::zeros(dtype, {panels, lines, kLineBytes * 8 / dtype_bits(dtype)});
}

// Lines of words: word r holds columns [width * line, ...) of row r, and a dense row is just that.
template <typename Element>
void pack_words(const Element* rows, std::int64_t num_rows, std::int64_t columns, std::byte* lines) {
  constexpr std::int64_t kWidth = 4 / sizeof(Element);
  for (std::int64_t column = 0; column < columns; column += kWidth, lines += kLineBytes) {
    const std::size_t bytes = sizeof(Element) * static_cast<std::size_t>(std::min(kWidth, columns - column));
    for (std::int64_t r = 0; r < num_rows; ++r)
      std::memcpy(lines + 4 * r, rows + r * columns + column, bytes);
  }
}

void pack_halves(const std::uint16_t* rows, std::int64_t num_rows, std::int64_t columns,
                 std::uint16_t* halves) {
  for (std::int64_t column = 0; column < columns; ++column, halves += kPanelRows) {
    for (std::int64_t r = 0; r < num_rows; ++r) halves[r] = rows[r * columns + column];
  }
}

// Eight unsigned codes, one in each byte, to eight nibbles.
std::uint32_t squeeze_nibbles(std::uint64_t bytes) {
  bytes &= 0x0f0f0f0f0f0f0f0fu;
  bytes = (bytes | bytes >> 4) & 0x00ff00ff00ff00ffu;
  bytes = (bytes | bytes >> 8) & 0x0000ffff0000ffffu;
  return static_cast<std::uint32_t>(bytes | bytes >> 16);
}

// One row of signed codes into its words of the lines of its panel.
void pack_codes(const std::int8_t* codes, std::int64_t columns, LineFormat format, std::byte* words) {
  const std::int64_t width = columns_per_line(format);
  for (std::int64_t column = 0; column < columns; column += width, words += kLineBytes) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, codes + column, static_cast<std::size_t>(std::min(width, columns - column)));
    const std::uint32_t word = format == LineFormat::kCodes8 ? static_cast<std::uint32_t>(bytes) ^ 0x80808080u
                                                             : squeeze_nibbles(bytes ^ 0x0808080808080808u);
    std::memcpy(words, &word, sizeof(word));
  }
}

// Scales or zero points [rows / rows_per_scale, groups] to [panels, groups, 16].
template <typename Element>
void pack_by_panel(const Element* values, const QuantizedMatrix& weight, Element* out) {
  const std::int64_t groups = weight.num_groups();
  for (std::int64_t row = 0; row < weight.rows; ++row) {
    const Element* from = values + row / weight.rows_per_scale() * groups;
    Element* to = out + row / kPanelRows * groups * kPanelRows + row % kPanelRows;
    for (std::int64_t g = 0; g < groups; ++g) to[g * kPanelRows] = from[g];
  }
}

void require_consistent(const QuantizedMatrix& weight) {
  FARTHING_REQUIRE(weight.rows >= 0 && weight.columns >= 0 && weight.bits >= 1 && weight.bits <= 8 &&
                       weight.group_size >= 1,
                   Code::kCorruptData, "quantized weight has impossible sizes",
                   {{"rows", weight.rows},
                    {"columns", weight.columns},
                    {"bits", weight.bits},
                    {"group_size", weight.group_size}});
  const Shape codes{weight.rows, weight.columns};
  FARTHING_REQUIRE(
      weight.codes.defined() && weight.codes.shape() == codes && dtype_bits(weight.codes.dtype()) == 8,
      Code::kCorruptData, "codes do not fit the quantized weight", {{"expected", to_string(codes)}});
  const std::int64_t rows_per_scale = weight.rows_per_scale();
  const Shape scales{(weight.rows + rows_per_scale - 1) / rows_per_scale,
                     (weight.columns + weight.group_size - 1) / weight.group_size};
  FARTHING_REQUIRE(weight.scales.defined() && weight.scales.shape() == scales, Code::kCorruptData,
                   "scales do not fit the quantized weight",
                   {{"expected", to_string(scales)},
                    {"shape", weight.scales.defined() ? to_string(weight.scales.shape()) : "none"}});
  FARTHING_REQUIRE(
      weight.symmetric || (weight.zero_points.defined() && weight.zero_points.shape() == scales &&
                           weight.zero_points.dtype() == DType::kI8),
      Code::kCorruptData, "zero points do not fit the quantized weight", {{"expected", to_string(scales)}});
  if (!weight.group_index.defined()) return;
  FARTHING_REQUIRE(weight.group_index.numel() == weight.columns && weight.group_index.dtype() == DType::kI32,
                   Code::kCorruptData, "group index does not fit the quantized weight",
                   {{"columns", weight.columns}});
  for (const std::int32_t group : weight.group_index.span<std::int32_t>()) {
    FARTHING_REQUIRE(group >= 0 && group < weight.num_groups(), Code::kCorruptData,
                     "group index is out of range", {{"group", group}, {"groups", weight.num_groups()}});
  }
}

// Columns sorted by group.
Tensor order_by_group(const QuantizedMatrix& weight) {
  Tensor order = Tensor::empty(DType::kI32, {weight.columns});
  std::int32_t* columns = order.mutable_data<std::int32_t>();
  std::iota(columns, columns + weight.columns, 0);
  const std::int32_t* group = weight.group_index.data<std::int32_t>();
  std::stable_sort(columns, columns + weight.columns,
                   [&](std::int32_t a, std::int32_t b) { return group[a] < group[b]; });
  return order;
}

// True if the columns in this order fill the groups evenly, so that a group is found by division.
bool groups_are_even(const QuantizedMatrix& weight, const Tensor& order) {
  const std::int32_t* group = weight.group_index.data<std::int32_t>();
  for (std::int64_t i = 0; i < weight.columns; ++i) {
    if (group[order.data<std::int32_t>()[i]] != i / weight.group_size) return false;
  }
  return true;
}

bool is_identity(const Tensor& order) {
  const std::span<const std::int32_t> columns = order.span<std::int32_t>();
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i] != static_cast<std::int32_t>(i)) return false;
  }
  return true;
}

// E2M1 as an integer of half the scale: 0, 1, 2, 3, 4, 6, 8, 12 and their negatives.
Tensor doubled_fp4(const Tensor& codes) {
  Tensor integers = Tensor::empty(DType::kI8, codes.shape());
  const std::uint8_t* from = codes.data<std::uint8_t>();
  std::int8_t* to = integers.mutable_data<std::int8_t>();
  for (std::int64_t i = 0; i < codes.numel(); ++i)
    to[i] = static_cast<std::int8_t>(2.0f * fp4_e2m1_to_float(from[i]));
  return integers;
}

// Places in a table as pack_codes takes them: signed, the lowest standing for the first.
Tensor signed_places(const QuantizedMatrix& weight) {
  FARTHING_REQUIRE(weight.table.numel() == 16 && weight.table.dtype() == DType::kF32, Code::kCorruptData,
                   "a table of 4-bit codes does not have 16 values", {{"values", weight.table.numel()}});
  Tensor places = Tensor::empty(DType::kI8, weight.codes.shape());
  std::int8_t* to = places.mutable_data<std::int8_t>();
  for (const std::byte place : weight.codes.bytes())
    *to++ = static_cast<std::int8_t>((static_cast<int>(place) & 15) - 8);
  return places;
}

// The scales as kernels read them: 16-bit floats stay, everything else becomes F32.
Tensor final_scales(const QuantizedMatrix& weight, bool is_fp4) {
  const DType dtype = weight.scales.dtype();
  const bool plain = weight.global_scale == 0 && !is_fp4;
  if (plain && (dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16)) return weight.scales;
  Tensor scales = to_float32(weight.scales).clone();
  float* values = scales.mutable_data<float>();
  for (std::int64_t i = 0; i < scales.numel(); ++i) {
    if (weight.global_scale != 0) values[i] /= weight.global_scale;
    if (is_fp4) values[i] *= 0.5f;
  }
  return scales;
}

Tensor pack_scales(const Tensor& scales, const QuantizedMatrix& weight) {
  const std::int64_t panels = (weight.rows + kPanelRows - 1) / kPanelRows;
  Tensor packed = Tensor::zeros(scales.dtype(), {panels, weight.num_groups(), kPanelRows});
  if (scales.dtype() == DType::kF32) {
    pack_by_panel(scales.data<float>(), weight, packed.mutable_data<float>());
  } else {
    pack_by_panel(scales.data<std::uint16_t>(), weight, packed.mutable_data<std::uint16_t>());
  }
  return packed;
}

void pack_code_rows(const Tensor& codes, const Tensor& order, LineFormat format, PackedWeight& packed) {
  const std::int64_t columns = packed.columns, panel_bytes = packed.data.dim(1) * kLineBytes;
  std::vector<std::int8_t> gathered(order.defined() ? static_cast<std::size_t>(columns) : 0);
  for (std::int64_t row = 0; row < packed.rows; ++row) {
    const std::int8_t* from = codes.data<std::int8_t>() + row * columns;
    if (order.defined()) {
      for (std::int64_t i = 0; i < columns; ++i)
        gathered[static_cast<std::size_t>(i)] = from[order.data<std::int32_t>()[i]];
      from = gathered.data();
    }
    std::byte* panel = packed.data.mutable_bytes().data() + row / kPanelRows * panel_bytes;
    pack_codes(from, columns, format, panel + 4 * (row % kPanelRows));
  }
}

// Values that a format's loader forms in 16 bits need no more.
PackedWeight pack_dequantized(const QuantizedMatrix& weight, Isa isa) {
  PackedWeight packed = pack_weight(from_float32(reference::dequantize(weight), weight.rounding), isa);
  packed.kernel = kernel_name(kDequantized, isa);
  return packed;
}

}  // namespace

PackedWeight pack_weight(const Tensor& weight, Isa isa) {
  FARTHING_CHECK(weight.rank() == 2, "{}", to_string(weight.shape()));
  const DType dtype = weight.dtype();
  FARTHING_CHECK(dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16, "{}",
                 dtype_name(dtype));
  PackedWeight packed{.rows = weight.dim(0), .columns = weight.dim(1), .isa = isa, .bits = dtype_bits(dtype)};
  packed.kernel = kernel_name(dtype == DType::kF32    ? kDenseF32
                              : dtype == DType::kBF16 ? kDenseBF16
                                                      : kDenseF16,
                              isa);
  packed.data = zero_lines(dtype, packed.rows, packed.columns,
                           dtype == DType::kF32 ? LineFormat::kF32 : LineFormat::kBF16);
  const std::int64_t panel_bytes = packed.data.dim(1) * kLineBytes;
  std::byte* panel = packed.data.mutable_bytes().data();
  for (std::int64_t row = 0; row < packed.rows; row += kPanelRows, panel += panel_bytes) {
    const std::int64_t rows = std::min(kPanelRows, packed.rows - row), first = row * packed.columns;
    if (dtype == DType::kF32) {
      pack_words(weight.data<float>() + first, rows, packed.columns, panel);
    } else if (dtype == DType::kBF16) {
      pack_words(weight.data<std::uint16_t>() + first, rows, packed.columns, panel);
    } else {
      pack_halves(weight.data<std::uint16_t>() + first, rows, packed.columns,
                  reinterpret_cast<std::uint16_t*>(panel));
    }
  }
  return packed;
}

PackedWeight pack_weight(const QuantizedMatrix& weight, Isa isa) {
  require_consistent(weight);
  const bool is_fp4 = weight.type == NumberType::kFloat && weight.codes.dtype() == DType::kU8;
  const bool has_table = weight.table.defined();
  if (weight.type == NumberType::kFloat && !is_fp4) return pack_dequantized(weight, isa);
  PackedWeight packed{
      .rows = weight.rows, .columns = weight.columns, .isa = isa, .group_size = weight.group_size};
  if (weight.group_index.defined()) {
    const Tensor order = order_by_group(weight);
    if (!groups_are_even(weight, order)) return pack_dequantized(weight, isa);
    if (!is_identity(order)) packed.column_order = order;
  }
  packed.bits = weight.bits <= 4 && !is_fp4 ? 4 : 8;
  packed.kernel = kernel_name(has_table ? kTable4 : packed.bits == 4 ? kCodes4 : kCodes8, isa);
  if (has_table) packed.table = weight.table;
  const LineFormat format = packed.bits == 4 ? LineFormat::kCodes4 : LineFormat::kCodes8;
  packed.data = zero_lines(DType::kU8, packed.rows, packed.columns, format);
  pack_code_rows(has_table ? signed_places(weight)
                 : is_fp4  ? doubled_fp4(weight.codes)
                           : weight.codes,
                 packed.column_order, format, packed);
  packed.scales = pack_scales(final_scales(weight, is_fp4), weight);
  if (!weight.symmetric) {
    packed.zero_points = Tensor::zeros(DType::kI8, packed.scales.shape());
    pack_by_panel(weight.zero_points.data<std::int8_t>(), weight,
                  packed.zero_points.mutable_data<std::int8_t>());
  }
  return packed;
}

Tensor unpack_weight(const PackedWeight& weight) {
  const PanelView panels = view(weight);
  Tensor values = Tensor::empty(DType::kF32, {weight.rows, weight.columns});
  float* out = values.mutable_data<float>();
  const std::int32_t* order =
      weight.column_order.defined() ? weight.column_order.data<std::int32_t>() : nullptr;
  for (std::int64_t row = 0; row < weight.rows; ++row) {
    for (std::int64_t k = 0; k < weight.columns; ++k) {
      out[row * weight.columns + (order == nullptr ? k : order[k])] = value_at(panels, row, k);
    }
  }
  return values;
}

}  // namespace farthing::kernels
