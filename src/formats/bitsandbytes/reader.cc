#include "formats/bitsandbytes/reader.h"

#include <numeric>
#include <set>

#include "base/error.h"
#include "formats/bitsandbytes/quant_state.h"
#include "formats/module_tensors.h"
#include "scheme/blockwise.h"

namespace farthing::formats::bitsandbytes {
namespace {

using checkpoint::TensorInfo;

constexpr std::string_view kStates[] = {"weight.quant_state.bitsandbytes__nf4",
                                        "weight.quant_state.bitsandbytes__fp4"};
constexpr std::string_view kFourBits[] = {
    "weight",   "weight.absmax", "weight.quant_map", "weight.nested_absmax", "weight.nested_quant_map",
    kStates[0], kStates[1]};
constexpr std::string_view kEightBits[] = {"weight", "SCB", "weight_format"};
constexpr float kHighestInt8 = 127;

bool is_eight_bits(const ModuleTensors& module) {
  return module.has("SCB");
}

QuantState state_of(const ModuleTensors& module) {
  module.require(!module.has(kStates[0]) || !module.has(kStates[1]), kStates[1], "the weight has two states");
  const std::string_view name = module.has(kStates[1]) ? kStates[1] : kStates[0];
  const Tensor bytes = module.read(name);
  module.require(bytes.dtype() == DType::kU8, name, "the quant_state is not a tensor of bytes");
  const QuantState state = parse_quant_state(
      {reinterpret_cast<const char*>(bytes.bytes().data()), bytes.num_bytes()}, module.name(name));
  module.require(name.ends_with(type_name(state.type)), name, "the quant_state's type is not its name's");
  return state;
}

Tensor read_exact(const ModuleTensors& module, std::string_view suffix, DType dtype, std::int64_t count) {
  const Tensor tensor = module.read(suffix);
  module.require(tensor.dtype() == dtype && tensor.numel() == count, suffix,
                 fmt::format("tensor is not {} with {} elements", dtype_name(dtype), count));
  return tensor.reshape({count});
}

// The codes U8 [rows, columns] from pairs of which the first is in the high half. The storage may have any
// type: the bytes are the same.
Tensor read_codes(const ModuleTensors& module, const QuantState& state) {
  const TensorInfo& info = module.at("weight");
  const std::int64_t count = num_elements({state.rows, state.columns});
  // Rounded up to whole elements of the storage type.
  const auto element = static_cast<std::uint64_t>(std::max(dtype_bits(info.dtype) / 8, 1));
  const std::uint64_t needed = static_cast<std::uint64_t>(count + 1) / 2;
  module.require(
      info.num_bytes == (needed + element - 1) / element * element, "weight",
      fmt::format("packed weight does not hold [{}, {}] codes of 4 bits", state.rows, state.columns));
  const Tensor packed = module.read("weight");
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(packed.bytes().data());
  Tensor codes = Tensor::empty(DType::kU8, {state.rows, state.columns});
  std::uint8_t* out = codes.mutable_data<std::uint8_t>();
  for (std::int64_t i = 0; i < count; ++i)
    out[i] = i % 2 == 0 ? bytes[i / 2] >> 4 : static_cast<std::uint8_t>(bytes[i / 2] & 15);
  return codes;
}

void read_block_scales(const ModuleTensors& module, const QuantState& state, QuantizedMatrix& matrix) {
  const std::int64_t blocks = (matrix.rows * matrix.columns + state.block_size - 1) / state.block_size;
  if (!state.nested) {
    matrix.scales = scheme::scales_by_row(read_exact(module, "weight.absmax", DType::kF32, blocks), matrix);
    return;
  }
  NestedScales nested{.block_size = state.nested->block_size};
  nested.offset = state.nested->offset;
  nested.codes = read_exact(module, "weight.absmax", DType::kU8, blocks);
  nested.table = read_exact(module, "weight.nested_quant_map", DType::kF32, 256);
  nested.scales = read_exact(module, "weight.nested_absmax", DType::kF32,
                             (blocks + nested.block_size - 1) / nested.block_size);
  matrix.scales = scheme::scales_by_row(scheme::nested_values(nested), matrix);
  matrix.nested_scales = std::make_shared<const NestedScales>(std::move(nested));
}

QuantizedMatrix read_four_bits(const ModuleTensors& module) {
  const QuantState state = state_of(module);
  QuantizedMatrix matrix{.rows = state.rows,
                         .columns = state.columns,
                         .bits = 4,
                         .type = state.type,
                         .group_size = std::gcd(state.columns, state.block_size)};
  matrix.block_size = state.block_size;
  matrix.rounding = state.dtype;
  matrix.codes = read_codes(module, state);
  read_block_scales(module, state, matrix);
  matrix.table = read_exact(module, "weight.quant_map", DType::kF32, 16);
  return matrix;
}

QuantizedMatrix read_eight_bits(const ModuleTensors& module) {
  if (module.has("weight_format")) {
    const Tensor format = read_exact(module, "weight_format", DType::kU8, 1);
    module.require(format.data<std::uint8_t>()[0] == 0, "weight_format",
                   "the rows are stored in the order of an old kernel, not row by row");
  }
  const Tensor codes = module.read("weight");
  module.require(codes.dtype() == DType::kI8 && codes.rank() == 2, "weight",
                 "8-bit weight is not a matrix of I8");
  QuantizedMatrix matrix{.rows = codes.dim(0),
                         .columns = codes.dim(1),
                         .bits = 8,
                         .granularity = Granularity::kChannel,
                         .group_size = std::max<std::int64_t>(codes.dim(1), 1),
                         .codes = codes,
                         .global_scale = kHighestInt8};
  matrix.scales = read_exact(module, "SCB", DType::kF32, matrix.rows).reshape({matrix.rows, 1});
  return matrix;
}

}  // namespace

Reader::Reader(const checkpoint::Checkpoint& checkpoint, const Json& block, OtherSpelling)
    : checkpoint_(checkpoint) {
  FARTHING_REQUIRE(block.is_object(), Code::kCorruptData, "the bitsandbytes configuration is not an object");
}

std::vector<std::string> Reader::modules() const {
  std::set<std::string> modules;
  for (const std::string_view suffix : {kStates[0], kStates[1], std::string_view("SCB")}) {
    for (std::string& module : modules_with(checkpoint_, fmt::format(".{}", suffix)))
      modules.insert(std::move(module));
  }
  return {modules.begin(), modules.end()};
}

bool Reader::is_quantized(std::string_view module) const {
  const ModuleTensors tensors(checkpoint_, module);
  return is_eight_bits(tensors) || tensors.has(kStates[0]) || tensors.has(kStates[1]);
}

std::vector<std::string> Reader::tensors_of(std::string_view module) const {
  const ModuleTensors tensors(checkpoint_, module);
  return is_eight_bits(tensors) ? tensors_with(tensors, kEightBits) : tensors_with(tensors, kFourBits);
}

scheme::Scheme Reader::scheme_of(std::string_view module) const {
  const ModuleTensors tensors(checkpoint_, module);
  if (is_eight_bits(tensors)) return scheme::preset("LLM_INT8");
  const QuantState state = state_of(tensors);
  scheme::Scheme scheme = scheme::preset(state.type == NumberType::kNf4 ? "NF4" : "FP4");
  scheme.weights->group_size = state.block_size;
  if (state.nested) scheme.weights->scale_dtype = DType::kU8;
  return scheme;
}

WeightDescription Reader::describe(std::string_view module) const {
  const ModuleTensors tensors(checkpoint_, module);
  WeightDescription description{.scheme = scheme::describe(scheme_of(module)), .layout = "bitsandbytes"};
  if (is_eight_bits(tensors)) {
    const Shape& shape = tensors.at("weight").shape;
    tensors.require(shape.size() == 2, "weight", "8-bit weight is not a matrix of I8");
    description.rows = shape[0];
    description.columns = shape[1];
  } else {
    const QuantState state = state_of(tensors);
    description.rows = state.rows;
    description.columns = state.columns;
  }
  description.bits_per_weight =
      bits_per_weight(checkpoint_, tensors_of(module), description.rows, description.columns);
  return description;
}

QuantizedMatrix Reader::read(std::string_view module) const {
  const ModuleTensors tensors(checkpoint_, module);
  return is_eight_bits(tensors) ? read_eight_bits(tensors) : read_four_bits(tensors);
}

}  // namespace farthing::formats::bitsandbytes
