#include "formats/autoawq/reader.h"

#include <cmath>

#include "base/error.h"
#include "formats/autoawq/packing.h"
#include "formats/module_tensors.h"
#include "scheme/packing.h"

namespace farthing::formats::autoawq {
namespace {

using checkpoint::TensorInfo;
using scheme::WordLayout;

constexpr std::string_view kSuffixes[] = {"qweight", "qzeros", "scales"};

struct Sizes {
  std::int64_t rows = 0, columns = 0, group_size = 0;
  std::int64_t groups() const { return columns / group_size; }
};

// GEMV pads the words of a row's zero points to what its kernel loads at once.
std::int64_t padded_zero_words(const Sizes& sizes) {
  const std::int64_t step = sizes.group_size >= 128 ? 1 : sizes.group_size == 64 ? 2 : 4;
  const std::int64_t words = (sizes.groups() + 7) / 8;
  return (words + step - 1) / step * step;
}

Sizes sizes_of(const ModuleTensors& module, const Config& config) {
  const TensorInfo& codes = module.at("qweight");
  module.require(codes.dtype == (config.version == Version::kGemvFast ? DType::kI16 : DType::kI32) &&
                     codes.shape.size() == 2,
                 "qweight", "packed weight is not a matrix of the integers that the version says");
  Sizes sizes;
  switch (config.version) {
    case Version::kGemm:
      sizes = {.rows = codes.shape[1] * 8, .columns = codes.shape[0]};
      break;
    case Version::kGemv:
      sizes = {.rows = codes.shape[0], .columns = codes.shape[1] * 8};
      break;
    case Version::kGemvFast:
      sizes = {.rows = codes.shape[0] * 4, .columns = codes.shape[1]};
      module.require(sizes.columns % 64 == 0, "qweight", "the number of inputs is not a multiple of 64");
      break;
  }
  sizes.group_size = config.group_size > 0 ? config.group_size : std::max<std::int64_t>(sizes.columns, 1);
  module.require(sizes.columns % sizes.group_size == 0, "qweight",
                 fmt::format("group size {} does not divide {} inputs", sizes.group_size, sizes.columns));
  return sizes;
}

// Throws unless a tensor has this type and shape; every dimension but the exact ones may be larger, where
// kernels want padding.
Tensor read_exact(const ModuleTensors& module, std::string_view suffix, DType dtype, const Shape& shape) {
  Tensor tensor = module.read(suffix);
  module.require(
      tensor.dtype() == dtype && tensor.shape() == shape, suffix,
      fmt::format("tensor is not {} {} as weight and config say", dtype_name(dtype), to_string(shape)));
  return tensor;
}

Tensor read_scales(const ModuleTensors& module, const Shape& shape) {
  const TensorInfo& info = module.at("scales");
  module.require(info.dtype == DType::kF16 || info.dtype == DType::kBF16, "scales",
                 "scales are neither F16 nor BF16");
  return read_exact(module, "scales", info.dtype, shape);
}

// The first `columns` of a matrix of 8- or 16-bit elements.
template <typename Element>
Tensor first_columns(const Tensor& matrix, std::int64_t columns) {
  Tensor result = Tensor::empty(matrix.dtype(), {matrix.dim(0), columns});
  for (std::int64_t row = 0; row < matrix.dim(0); ++row) {
    const Element* from = matrix.data<Element>() + row * matrix.dim(1);
    std::copy(from, from + columns, result.mutable_data<Element>() + row * columns);
  }
  return result;
}

void read_gemm(const ModuleTensors& module, const Sizes& sizes, ThreadPool& pool, QuantizedMatrix& matrix) {
  matrix.codes = unpack_gemm(module.read("qweight"), pool);
  matrix.scales = transpose(read_scales(module, {sizes.groups(), sizes.rows}));
  matrix.zero_points =
      unpack_gemm(read_exact(module, "qzeros", DType::kI32, {sizes.groups(), sizes.rows / 8}), pool);
}

void read_gemv(const ModuleTensors& module, const Sizes& sizes, ThreadPool& pool, QuantizedMatrix& matrix) {
  const std::int64_t words = padded_zero_words(sizes);
  matrix.codes = scheme::unpack_rows(module.read("qweight"), kBits, sizes.columns, WordLayout::kDense, pool);
  matrix.scales = first_columns<std::uint16_t>(read_scales(module, {sizes.rows, words * 8}), sizes.groups());
  const Tensor zeros = read_exact(module, "qzeros", DType::kI32, {sizes.rows, words});
  matrix.zero_points = first_columns<std::int8_t>(
      scheme::unpack_rows(zeros, kBits, words * 8, WordLayout::kDense, pool), sizes.groups());
}

// The file holds -scale * zero point, rounded to 16 bits; the whole number nearest to the quotient is the
// zero point that it was made from.
void read_gemv_fast(const ModuleTensors& module, const Sizes& sizes, ThreadPool& pool,
                    QuantizedMatrix& matrix) {
  const Shape padded = {padded_zero_words(sizes) * 8, sizes.rows};
  matrix.codes = unpack_gemv_fast(module.read("qweight"), pool);
  matrix.scales = transpose(read_scales(module, padded).rows(0, sizes.groups()));
  const Tensor products =
      transpose(read_exact(module, "qzeros", DType::kF16, padded).rows(0, sizes.groups()));
  const Tensor scales = to_float32(matrix.scales), negated = to_float32(products);
  matrix.zero_points = Tensor::zeros(DType::kI8, matrix.scales.shape());
  for (std::int64_t i = 0; i < negated.numel(); ++i) {
    const float scale = scales.data<float>()[i], product = negated.data<float>()[i];
    const float zero = scale != 0 ? std::nearbyint(-product / scale) : 8.0f;
    module.require(zero >= 0 && zero <= 15, "qzeros", "a zero point is not one of 4 bits");
    matrix.zero_points.mutable_data<std::int8_t>()[i] = static_cast<std::int8_t>(zero - 8);
  }
}

}  // namespace

Reader::Reader(const checkpoint::Checkpoint& checkpoint, const Json& block, OtherSpelling)
    : checkpoint_(checkpoint), config_(parse_config(block)) {}

std::vector<std::string> Reader::modules() const {
  return modules_with(checkpoint_, ".qweight");
}

bool Reader::is_quantized(std::string_view module) const {
  return ModuleTensors(checkpoint_, module).has("qweight");
}

std::vector<std::string> Reader::tensors_of(std::string_view module) const {
  return tensors_with(ModuleTensors(checkpoint_, module), kSuffixes);
}

scheme::Scheme Reader::scheme_of(std::string_view) const {
  return autoawq::scheme_of(config_);
}

WeightDescription Reader::describe(std::string_view module) const {
  static constexpr std::string_view kLayouts[] = {"gemm", "gemv", "gemv_fast"};
  const Sizes sizes = sizes_of(ModuleTensors(checkpoint_, module), config_);
  return {.rows = sizes.rows,
          .columns = sizes.columns,
          .scheme = scheme::describe(scheme_of(module)),
          .layout = std::string(kLayouts[static_cast<int>(config_.version)]),
          .bits_per_weight = bits_per_weight(checkpoint_, tensors_of(module), sizes.rows, sizes.columns)};
}

QuantizedMatrix Reader::read(std::string_view module) const {
  const ModuleTensors tensors(checkpoint_, module);
  const Sizes sizes = sizes_of(tensors, config_);
  ThreadPool pool(1);  // callers read modules in parallel
  QuantizedMatrix matrix{.rows = sizes.rows,
                         .columns = sizes.columns,
                         .bits = kBits,
                         .granularity = config_.group_size > 0 ? Granularity::kGroup : Granularity::kChannel,
                         .group_size = sizes.group_size,
                         .symmetric = false};
  switch (config_.version) {
    case Version::kGemm:
      read_gemm(tensors, sizes, pool, matrix);
      break;
    case Version::kGemv:
      read_gemv(tensors, sizes, pool, matrix);
      break;
    case Version::kGemvFast:
      read_gemv_fast(tensors, sizes, pool, matrix);
      break;
  }
  matrix.rounding = matrix.scales.dtype();
  return matrix;
}

}  // namespace farthing::formats::autoawq
