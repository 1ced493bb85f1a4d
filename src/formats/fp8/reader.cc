#include "formats/fp8/reader.h"

#include "base/error.h"
#include "formats/module_tensors.h"

namespace farthing::formats::fp8 {
namespace {

using checkpoint::TensorInfo;

constexpr std::string_view kBlockScale = "weight_scale_inv", kPlainScale = "weight_scale";
constexpr std::string_view kSuffixes[] = {"weight",      kBlockScale,        kPlainScale,
                                          "input_scale", "activation_scale", "input_scale_ub"};

std::array<std::int64_t, 2> parse_block(const Json& value) {
  std::array<std::int64_t, 2> block{};
  if (value.is_array() && value.size() == 2 && value[0].is_number_integer() && value[1].is_number_integer())
    block = {value[0].get<std::int64_t>(), value[1].get<std::int64_t>()};
  FARTHING_REQUIRE(block[0] > 0 && block[1] > 0, Code::kCorruptData,
                   "weight_block_size is not two positive numbers", {{"value", value.dump()}});
  return block;
}

const Shape& weight_shape(const ModuleTensors& module) {
  const TensorInfo& weight = module.at("weight");
  module.require(weight.dtype == DType::kF8E4M3 && weight.shape.size() == 2, "weight",
                 "quantized weight is not a matrix of F8_E4M3");
  return weight.shape;
}

}  // namespace

Reader::Reader(const checkpoint::Checkpoint& checkpoint, const Json& block, OtherSpelling)
    : checkpoint_(checkpoint) {
  FARTHING_REQUIRE(block.is_object(), Code::kCorruptData, "the FP8 configuration is not an object");
  method_ = block.value("quant_method", "fp8");
  if (const auto size = block.find("weight_block_size"); size != block.end() && !size->is_null())
    block_ = parse_block(*size);
  const auto activations = block.find("activation_scheme");
  static_activations_ = activations != block.end() && *activations == "static";
}

std::vector<std::string> Reader::modules() const {
  std::vector<std::string> modules;
  for (std::string& module : modules_with(checkpoint_, ".weight")) {
    if (is_quantized(module)) modules.push_back(std::move(module));
  }
  return modules;
}

bool Reader::is_quantized(std::string_view module) const {
  const TensorInfo* weight = ModuleTensors(checkpoint_, module).find("weight");
  return weight != nullptr && weight->dtype == DType::kF8E4M3;
}

std::vector<std::string> Reader::tensors_of(std::string_view module) const {
  return tensors_with(ModuleTensors(checkpoint_, module), kSuffixes);
}

scheme::Scheme Reader::scheme_of(std::string_view module) const {
  const ModuleTensors tensors(checkpoint_, module);
  if (tensors.has(kBlockScale)) {
    scheme::Scheme scheme = scheme::preset("FP8_BLOCK");
    if (block_) {
      scheme.weights->block_structure = block_;
      scheme.input_activations->group_size = (*block_)[1];
    }
    return scheme;
  }
  const bool per_tensor = num_elements(tensors.at(kPlainScale).shape) == 1;
  scheme::Scheme scheme = scheme::preset(static_activations_ ? "FP8" : "FP8_DYNAMIC");
  scheme.weights->strategy = per_tensor ? scheme::Strategy::kTensor : scheme::Strategy::kChannel;
  return scheme;
}

WeightDescription Reader::describe(std::string_view module) const {
  const Shape& shape = weight_shape(ModuleTensors(checkpoint_, module));
  return {.rows = shape[0],
          .columns = shape[1],
          .scheme = scheme::describe(scheme_of(module)),
          .layout = method_,
          .bits_per_weight = bits_per_weight(checkpoint_, tensors_of(module), shape[0], shape[1])};
}

QuantizedMatrix Reader::read(std::string_view module) const {
  const ModuleTensors tensors(checkpoint_, module);
  const Shape& shape = weight_shape(tensors);
  const scheme::QuantizationArgs args = *scheme_of(module).weights;
  const scheme::CellGrid grid = scheme::cell_grid(args, shape[0], shape[1]);
  QuantizedMatrix matrix{.rows = shape[0],
                         .columns = shape[1],
                         .bits = 8,
                         .type = NumberType::kFloat,
                         .granularity = scheme::granularity_of(args),
                         .group_size = grid.cell_columns};
  if (matrix.granularity == Granularity::kBlock) matrix.block_rows = grid.cell_rows;
  matrix.codes = tensors.read("weight");
  const std::string_view suffix = tensors.has(kBlockScale) ? kBlockScale : kPlainScale;
  const Tensor scales = tensors.read(suffix);
  tensors.require(is_floating_point(scales.dtype()) && dtype_bits(scales.dtype()) >= 16, suffix,
                  "scales are not of a floating-point type");
  tensors.require(scales.numel() == grid.scale_rows() * grid.scale_columns() &&
                      (scales.rank() < 2 || scales.dim(0) == grid.scale_rows()),
                  suffix,
                  fmt::format("scales are not [{}, {}] as weight and config say", grid.scale_rows(),
                              grid.scale_columns()));
  matrix.scales = scales.reshape({grid.scale_rows(), grid.scale_columns()});
  return matrix;
}

}  // namespace farthing::formats::fp8
