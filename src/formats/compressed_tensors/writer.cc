#include "formats/compressed_tensors/writer.h"

#include "base/error.h"
#include "scheme/packing.h"
#include "scheme/parameters.h"

namespace farthing::formats::compressed_tensors {
namespace {

using checkpoint::TensorPlan;
using scheme::CellGrid;
using scheme::QuantizationArgs;
using scheme::Strategy;
using scheme::WordLayout;

// Scales of a whole tensor are one number, all others a matrix.
Shape scale_shape(const QuantizationArgs& args, const CellGrid& grid) {
  if (args.strategy == Strategy::kTensor) return {1};
  return {grid.scale_rows(), grid.scale_columns()};
}

bool packs_zero_points(const QuantizationArgs& args, Container container) {
  return container == Container::kPackedIntegers && args.strategy != Strategy::kTensor;
}

Tensor packed_codes(const QuantizedMatrix& weight, Container container, ThreadPool& pool) {
  switch (container) {
    case Container::kPackedIntegers:
      return scheme::pack_rows(weight.codes, weight.bits, WordLayout::kDense, pool);
    case Container::kPackedFp4:
      return scheme::pack_nibbles(weight.codes, pool);
    default:
      return weight.codes;
  }
}

// The group of every column, also where groups are contiguous.
Tensor group_index(const QuantizedMatrix& weight) {
  if (weight.group_index.defined()) return weight.group_index;
  Tensor index = Tensor::empty(DType::kI32, {weight.columns});
  for (std::int64_t i = 0; i < weight.columns; ++i)
    index.mutable_data<std::int32_t>()[i] = static_cast<std::int32_t>(i / weight.group_size);
  return index;
}

// E8M0 exponents are stored as plain bytes.
Tensor stored_scales(const Tensor& scales, Shape shape) {
  if (scales.dtype() != DType::kF8E8M0) return scales.reshape(std::move(shape));
  const auto owner = std::make_shared<const Tensor>(scales);
  return Tensor::view(DType::kU8, std::move(shape), owner->bytes(), owner);
}

// NAME_scale and NAME_zero_point, or NAME_global_scale; nothing for scales that are found at run time.
void append_plan(const std::string& module, std::string_view name, const QuantizationArgs& args,
                 const Shape& shape, DType model_dtype, std::vector<TensorPlan>& plan) {
  if (args.dynamic == scheme::Dynamic::kDynamic) return;
  if (args.strategy == Strategy::kTensorGroup) {
    plan.push_back({fmt::format("{}.{}_global_scale", module, name), DType::kF32, {1}});
    return;
  }
  plan.push_back({fmt::format("{}.{}_scale", module, name), model_dtype, shape});
  if (!args.symmetric) plan.push_back({fmt::format("{}.{}_zero_point", module, name), DType::kI8, shape});
}

std::string_view prefix_of(scheme::ActivationSite site) {
  switch (site) {
    case scheme::ActivationSite::kInput:
      return "input";
    case scheme::ActivationSite::kOutput:
      return "output";
    case scheme::ActivationSite::kKeys:
      return "k";
    case scheme::ActivationSite::kValues:
      return "v";
  }
  return "";
}

Shape cache_shape(const QuantizationArgs& args, std::int64_t num_scales) {
  return args.strategy == Strategy::kAttentionHead ? Shape{num_scales, 1, 1} : Shape{1};
}

}  // namespace

void Writer::check(const scheme::Scheme& scheme, std::int64_t rows, std::int64_t columns) const {
  FARTHING_REQUIRE(scheme.weights.has_value(), Code::kUnsupported, "scheme does not quantize weights",
                   {{"scheme", scheme::describe(scheme)}});
  const QuantizationArgs& args = *scheme.weights;
  scheme::require_weight_args(args, "weights");
  const auto require = [&](bool holds, std::string message, std::string hint) {
    FARTHING_REQUIRE(holds, Code::kUnsupported, std::move(message),
                     {{"scheme", scheme::describe(scheme)}, {"rows", rows}, {"columns", columns}},
                     std::move(hint));
  };
  require(!scheme::is_blockwise(args) && !scheme::is_llm_int8(args),
          "compressed-tensors has no words for the number types of bitsandbytes",
          "use --format bitsandbytes");
  const Container container = container_of(format_for(scheme));
  const bool integers = container == Container::kPackedIntegers || container == Container::kPlainIntegers;
  require(integers == (args.type == NumberType::kInt) &&
              (container != Container::kPackedFp4 || args.num_bits == 4) &&
              (container != Container::kFp8 || args.num_bits == 8),
          fmt::format("format {} cannot hold these numbers", format_for(scheme)),
          "leave the format to be chosen");
  require(!args.group_size || columns % *args.group_size == 0,
          fmt::format("group size {} does not divide the number of columns", *args.group_size),
          "choose one that does, or ignore the module");
  require(container != Container::kPackedFp4 || columns % 2 == 0,
          "pairs of 4-bit floats need an even number of columns", "ignore the module");
  require(!scheme.output_activations, "quantized outputs cannot be written", "remove output_activations");
  if (scheme.input_activations)
    scheme::require_activation_args(*scheme.input_activations, "input_activations");
}

std::vector<TensorPlan> Writer::plan_tensors(const std::string& module, const scheme::Scheme& scheme,
                                             std::int64_t rows, std::int64_t columns,
                                             DType model_dtype) const {
  check(scheme, rows, columns);
  const QuantizationArgs& args = *scheme.weights;
  const Container container = container_of(format_for(scheme));
  const CellGrid grid = scheme::cell_grid(args, rows, columns);
  const auto named = [&](std::string_view suffix) { return fmt::format("{}.{}", module, suffix); };
  std::vector<TensorPlan> plan;
  switch (container) {
    case Container::kPackedIntegers:
      plan.push_back({named("weight_packed"),
                      DType::kI32,
                      {rows, scheme::num_words(columns, args.num_bits, WordLayout::kDense)}});
      break;
    case Container::kPackedFp4:
      plan.push_back({named("weight_packed"), DType::kU8, {rows, columns / 2}});
      break;
    case Container::kPlainIntegers:
      plan.push_back({named("weight"), DType::kI8, {rows, columns}});
      break;
    case Container::kFp8:
      plan.push_back({named("weight"), DType::kF8E4M3, {rows, columns}});
      break;
  }
  const DType scale_dtype = scheme::scale_dtype_of(args, model_dtype);
  plan.push_back({named("weight_scale"), scale_dtype == DType::kF8E8M0 ? DType::kU8 : scale_dtype,
                  scale_shape(args, grid)});
  if (container == Container::kPackedIntegers) plan.push_back({named("weight_shape"), DType::kI64, {2}});
  if (!args.symmetric) {
    TensorPlan zero_points{named("weight_zero_point"), DType::kI8, scale_shape(args, grid)};
    if (packs_zero_points(args, container)) {
      zero_points.dtype = DType::kI32;
      zero_points.shape[0] = scheme::num_words(grid.scale_rows(), args.num_bits, WordLayout::kDense);
    }
    plan.push_back(std::move(zero_points));
  }
  if (args.actorder == scheme::ActivationOrder::kGroup)
    plan.push_back({named("weight_g_idx"), DType::kI32, {columns}});
  if (args.strategy == Strategy::kTensorGroup)
    plan.push_back({named("weight_global_scale"), DType::kF32, {1}});
  if (scheme.input_activations)
    append_plan(module, "input", *scheme.input_activations, {1}, model_dtype, plan);
  return plan;
}

std::vector<std::pair<std::string, Tensor>> Writer::encode(const std::string& module,
                                                           const scheme::Scheme& scheme,
                                                           const QuantizedMatrix& weight,
                                                           ThreadPool& pool) const {
  check(scheme, weight.rows, weight.columns);
  const QuantizationArgs& args = *scheme.weights;
  FARTHING_CHECK(weight.bits == args.num_bits && weight.type == args.type &&
                     weight.symmetric == args.symmetric && weight.granularity == scheme::granularity_of(args),
                 "{} was not made under {}", module, scheme::describe(scheme));
  FARTHING_CHECK(!weight.group_index.defined() || args.actorder == scheme::ActivationOrder::kGroup,
                 "{} has a group index", module);
  const Container container = container_of(format_for(scheme));
  const Shape shape = scale_shape(args, scheme::cell_grid(args, weight.rows, weight.columns));
  const auto named = [&](std::string_view suffix) { return fmt::format("{}.{}", module, suffix); };
  const bool packed = container == Container::kPackedIntegers || container == Container::kPackedFp4;
  std::vector<std::pair<std::string, Tensor>> tensors;
  tensors.emplace_back(named(packed ? "weight_packed" : "weight"), packed_codes(weight, container, pool));
  tensors.emplace_back(named("weight_scale"), stored_scales(weight.scales, shape));
  if (container == Container::kPackedIntegers) {
    tensors.emplace_back(named("weight_shape"), Tensor::of<std::int64_t>({2}, {weight.rows, weight.columns}));
  }
  if (!args.symmetric) {
    tensors.emplace_back(named("weight_zero_point"),
                         packs_zero_points(args, container)
                             ? scheme::pack_columns(weight.zero_points, weight.bits, WordLayout::kDense, pool)
                             : weight.zero_points.reshape(shape));
  }
  if (args.actorder == scheme::ActivationOrder::kGroup)
    tensors.emplace_back(named("weight_g_idx"), group_index(weight));
  if (args.strategy == Strategy::kTensorGroup) {
    tensors.emplace_back(named("weight_global_scale"), Tensor::of<float>({1}, {weight.global_scale}));
  }
  return tensors;
}

std::vector<std::pair<std::string, Tensor>> Writer::encode_activation(
    const std::string& module, scheme::ActivationSite site,
    const scheme::ActivationQuantization& quantization, DType model_dtype) const {
  const std::string_view prefix = prefix_of(site);
  std::vector<std::pair<std::string, Tensor>> tensors;
  if (quantization.global_scale != 0.0f) {
    tensors.emplace_back(fmt::format("{}.{}_global_scale", module, prefix),
                         Tensor::of<float>({1}, {quantization.global_scale}));
  }
  if (quantization.scales.empty()) return tensors;
  const auto count = static_cast<std::int64_t>(quantization.scales.size());
  const Shape shape = cache_shape(quantization.args, count);
  tensors.emplace_back(fmt::format("{}.{}_scale", module, prefix),
                       from_float32(Tensor::of<float>(shape, quantization.scales), model_dtype));
  if (!quantization.args.symmetric) {
    std::vector<std::int8_t> zero_points(quantization.scales.size());
    for (std::size_t i = 0; i < quantization.zero_points.size(); ++i)
      zero_points[i] = static_cast<std::int8_t>(quantization.zero_points[i]);
    tensors.emplace_back(fmt::format("{}.{}_zero_point", module, prefix),
                         Tensor::of<std::int8_t>(shape, zero_points));
  }
  return tensors;
}

std::vector<TensorPlan> Writer::plan_cache(const std::string& attention, const QuantizationArgs& args,
                                           std::int64_t num_heads, DType model_dtype) const {
  std::vector<TensorPlan> plan;
  for (const std::string_view name : {"k", "v"})
    append_plan(attention, name, args, cache_shape(args, num_heads), model_dtype, plan);
  return plan;
}

}  // namespace farthing::formats::compressed_tensors
