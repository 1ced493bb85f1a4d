#include "formats/mxfp4/reader.h"

#include <algorithm>

#include "base/error.h"
#include "formats/module_tensors.h"

namespace farthing::formats::mxfp4 {
namespace {

using checkpoint::TensorInfo;

constexpr std::int64_t kGroup = 32, kGroupBytes = kGroup / 2;
constexpr std::string_view kBlocks = "_blocks", kScales = "_scales";

std::string name(std::string_view module, std::string_view suffix) {
  return std::string(module) + std::string(suffix);
}

void require(bool holds, const TensorInfo& tensor, std::string_view problem) {
  FARTHING_REQUIRE(holds, Code::kCorruptData, std::string(problem),
                   {{"file", tensor.file.string()},
                    {"tensor", tensor.name},
                    {"dtype", dtype_name(tensor.dtype)},
                    {"shape", to_string(tensor.shape)}});
}

}  // namespace

Reader::Reader(const checkpoint::Checkpoint& checkpoint, const Json&, OtherSpelling)
    : checkpoint_(checkpoint) {}

std::vector<std::string> Reader::modules() const {
  return modules_with(checkpoint_, kBlocks);
}

bool Reader::is_quantized(std::string_view module) const {
  return checkpoint_.contains(name(module, kBlocks));
}

std::vector<std::string> Reader::tensors_of(std::string_view module) const {
  return {name(module, kBlocks), name(module, kScales)};
}

scheme::Scheme Reader::scheme_of(std::string_view) const {
  return scheme::preset("MXFP4A16");
}

Shape Reader::shape_of(std::string_view module) const {
  const TensorInfo& blocks = checkpoint_.at(name(module, kBlocks));
  const TensorInfo& scales = checkpoint_.at(name(module, kScales));
  require(blocks.dtype == DType::kU8 && blocks.shape.size() == 4 && blocks.shape[3] == kGroupBytes, blocks,
          "blocks of MXFP4 weights are not U8 [experts, rows, groups, 16]");
  Shape shape(blocks.shape.begin(), blocks.shape.end() - 1);
  require(dtype_bits(scales.dtype) == 8 && scales.shape == shape, scales,
          "scales of MXFP4 weights are not one byte per group");
  return shape;
}

WeightDescription Reader::describe(std::string_view module) const {
  const Shape shape = shape_of(module);
  const std::int64_t rows = shape[0] * shape[1], columns = shape[2] * kGroup;
  return {.rows = rows,
          .columns = columns,
          .scheme = "MXFP4A16",
          .layout = "mxfp4",
          .bits_per_weight = bits_per_weight(checkpoint_, tensors_of(module), rows, columns)};
}

QuantizedMatrix Reader::read(std::string_view module) const {
  const Shape shape = shape_of(module);
  return read_rows(module, {.count = shape[0] * shape[1]});
}

QuantizedMatrix Reader::read_rows(std::string_view module, const RowRange& rows) const {
  const Shape shape = shape_of(module);
  const std::int64_t groups = shape[2], columns = groups * kGroup;
  FARTHING_CHECK(rows.first + (rows.count - 1) * rows.step < shape[0] * shape[1], "{}", module);
  const Tensor blocks = checkpoint_.read(name(module, kBlocks)),
               stored_scales = checkpoint_.read(name(module, kScales));
  Tensor codes = Tensor::empty(DType::kU8, {rows.count, columns});
  Tensor scales = Tensor::empty(DType::kF8E8M0, {rows.count, groups});
  auto* code = codes.mutable_data<std::uint8_t>();
  auto* scale = reinterpret_cast<std::uint8_t*>(scales.mutable_bytes().data());
  for (std::int64_t r = 0; r < rows.count; ++r) {
    const std::int64_t row = rows.first + r * rows.step;
    const std::uint8_t* packed = blocks.data<std::uint8_t>() + row * columns / 2;
    for (std::int64_t i = 0; i < columns / 2; ++i) {
      *code++ = packed[i] & 15;
      *code++ = packed[i] >> 4;
    }
    const auto* from = reinterpret_cast<const std::uint8_t*>(stored_scales.bytes().data()) + row * groups;
    scale = std::copy_n(from, groups, scale);
  }
  return {.rows = rows.count,
          .columns = columns,
          .bits = 4,
          .type = NumberType::kFloat,
          .group_size = kGroup,
          .codes = std::move(codes),
          .scales = std::move(scales)};
}

}  // namespace farthing::formats::mxfp4
