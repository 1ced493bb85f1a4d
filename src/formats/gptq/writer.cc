#include "formats/gptq/writer.h"

#include "base/error.h"
#include "formats/half_scales.h"
#include "scheme/packing.h"

namespace farthing::formats::gptq {
namespace {

using checkpoint::TensorPlan;
using scheme::WordLayout;

constexpr std::int64_t kTile = 32;  // inputs and outputs that loaders unpack at once

// The words [groups, out * bits / 32] of zero points; symmetric weights have the middle of the range.
Tensor packed_zero_points(const QuantizedMatrix& weight, Version version, ThreadPool& pool) {
  const std::int64_t groups = weight.num_groups();
  Tensor zeros = Tensor::zeros(DType::kI8, {groups, weight.rows});
  if (!weight.symmetric) zeros = transpose(weight.zero_points);
  if (version == Version::kV1) {
    std::int8_t* values = zeros.mutable_data<std::int8_t>();
    for (std::int64_t i = 0; i < zeros.numel(); ++i) --values[i];
  }
  return scheme::pack_rows(zeros, weight.bits, WordLayout::kDense, pool);
}

Tensor group_index(const QuantizedMatrix& weight) {
  if (weight.group_index.defined()) return weight.group_index;
  Tensor index = Tensor::empty(DType::kI32, {weight.columns});
  for (std::int64_t i = 0; i < weight.columns; ++i)
    index.mutable_data<std::int32_t>()[i] = static_cast<std::int32_t>(i / weight.group_size);
  return index;
}

}  // namespace

std::string_view Writer::name_for(std::span<const scheme::Scheme> schemes) const {
  for (const scheme::Scheme& scheme : schemes) {
    if (scheme.weights && !scheme.weights->symmetric) return "gptq_v2";
  }
  return name();
}

void Writer::check(const scheme::Scheme& scheme, std::int64_t rows, std::int64_t columns) const {
  const auto require = [&](bool holds, std::string message, std::string hint) {
    FARTHING_REQUIRE(holds, Code::kUnsupported, std::move(message),
                     {{"scheme", scheme::describe(scheme)}, {"rows", rows}, {"columns", columns}},
                     std::move(hint));
  };
  require(scheme.weights && !scheme.input_activations && !scheme.output_activations,
          "GPTQ files hold weight-only schemes", "use W4A16 or W8A16");
  const scheme::QuantizationArgs& args = *scheme.weights;
  scheme::require_weight_args(args, "weights");
  require(args.type == NumberType::kInt &&
              (args.num_bits == 2 || args.num_bits == 3 || args.num_bits == 4 || args.num_bits == 8),
          "GPTQ files hold integers of 2, 3, 4 or 8 bits", "use --bits 4");
  require(!scheme::is_llm_int8(args), "GPTQ files have no outlier columns", "use --format bitsandbytes");
  require(args.strategy == scheme::Strategy::kGroup || args.strategy == scheme::Strategy::kChannel,
          "GPTQ files hold a scale per group or per channel", "use --group-size 128");
  require(args.symmetric || version_ == Version::kV2,
          "a zero point of 0 cannot be stored in version 1 of GPTQ files", "use --format gptq_v2");
  require(rows % kTile == 0 && columns % kTile == 0, "GPTQ files need multiples of 32 rows and columns",
          "ignore the module, or use --format compressed-tensors");
  require(!args.group_size || columns % *args.group_size == 0,
          fmt::format("group size {} does not divide the number of columns", args.group_size.value_or(0)),
          "choose one that does, or ignore the module");
}

std::vector<TensorPlan> Writer::plan_tensors(const std::string& module, const scheme::Scheme& scheme,
                                             std::int64_t rows, std::int64_t columns, DType) const {
  check(scheme, rows, columns);
  const int bits = scheme.weights->num_bits;
  const std::int64_t groups = scheme::cell_grid(*scheme.weights, rows, columns).scale_columns();
  return {{module + ".qweight", DType::kI32, {scheme::num_words(columns, bits, WordLayout::kDense), rows}},
          {module + ".qzeros", DType::kI32, {groups, scheme::num_words(rows, bits, WordLayout::kDense)}},
          {module + ".scales", DType::kF16, {groups, rows}},
          {module + ".g_idx", DType::kI32, {columns}}};
}

std::vector<std::pair<std::string, Tensor>> Writer::encode(const std::string& module,
                                                           const scheme::Scheme& scheme,
                                                           const QuantizedMatrix& weight,
                                                           ThreadPool& pool) const {
  check(scheme, weight.rows, weight.columns);
  FARTHING_CHECK(weight.bits == scheme.weights->num_bits && weight.symmetric == scheme.weights->symmetric,
                 "{} was not made under {}", module, scheme::describe(scheme));
  const Tensor rows = scheme::pack_rows(weight.codes, weight.bits, WordLayout::kDense, pool);
  return {{module + ".qweight", transpose(rows)},
          {module + ".qzeros", packed_zero_points(weight, version_, pool)},
          {module + ".scales", transpose(exact_half(weight.scales, module))},
          {module + ".g_idx", group_index(weight)}};
}

}  // namespace farthing::formats::gptq
