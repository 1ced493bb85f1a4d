#include "formats/autoawq/writer.h"

#include "base/error.h"
#include "formats/autoawq/packing.h"
#include "formats/half_scales.h"

namespace farthing::formats::autoawq {

void Writer::check(const scheme::Scheme& scheme, std::int64_t rows, std::int64_t columns) const {
  const auto require = [&](bool holds, std::string message, std::string hint) {
    FARTHING_REQUIRE(holds, Code::kUnsupported, std::move(message),
                     {{"scheme", scheme::describe(scheme)}, {"rows", rows}, {"columns", columns}},
                     std::move(hint));
  };
  require(scheme.weights && !scheme.input_activations && !scheme.output_activations,
          "AWQ files hold weight-only schemes", "use W4A16 or W4A16_ASYM");
  const scheme::QuantizationArgs& args = *scheme.weights;
  scheme::require_weight_args(args, "weights");
  require(args.type == NumberType::kInt && args.num_bits == 4, "AWQ files hold integers of 4 bits",
          "use W4A16 or W4A16_ASYM, or --format gptq for other widths");
  require(args.strategy == scheme::Strategy::kGroup || args.strategy == scheme::Strategy::kChannel,
          "AWQ files hold a scale per group or per channel", "use --group-size 128");
  require(args.actorder != scheme::ActivationOrder::kGroup, "AWQ files have no group index",
          "use --actorder static, or --format gptq");
  require(rows % 8 == 0, "AWQ files need a multiple of 8 rows",
          "ignore the module, or use --format compressed-tensors");
  require(!args.group_size || columns % *args.group_size == 0,
          fmt::format("group size {} does not divide the number of columns", args.group_size.value_or(0)),
          "choose one that does, or ignore the module");
}

std::vector<checkpoint::TensorPlan> Writer::plan_tensors(const std::string& module,
                                                         const scheme::Scheme& scheme, std::int64_t rows,
                                                         std::int64_t columns, DType) const {
  check(scheme, rows, columns);
  const std::int64_t groups = scheme::cell_grid(*scheme.weights, rows, columns).scale_columns();
  return {{module + ".qweight", DType::kI32, {columns, rows / 8}},
          {module + ".qzeros", DType::kI32, {groups, rows / 8}},
          {module + ".scales", DType::kF16, {groups, rows}}};
}

std::vector<std::pair<std::string, Tensor>> Writer::encode(const std::string& module,
                                                           const scheme::Scheme& scheme,
                                                           const QuantizedMatrix& weight,
                                                           ThreadPool& pool) const {
  check(scheme, weight.rows, weight.columns);
  FARTHING_CHECK(weight.bits == 4 && !weight.group_index.defined(), "{} was not made under {}", module,
                 scheme::describe(scheme));
  const Tensor zero_points =
      weight.symmetric ? Tensor::zeros(DType::kI8, weight.scales.shape()) : weight.zero_points;
  return {{module + ".qweight", pack_gemm(weight.codes, pool)},
          {module + ".qzeros", pack_gemm(zero_points, pool)},
          {module + ".scales", transpose(exact_half(weight.scales, module))}};
}

}  // namespace farthing::formats::autoawq
