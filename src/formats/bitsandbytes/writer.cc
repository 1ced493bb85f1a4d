#include "formats/bitsandbytes/writer.h"

#include "base/error.h"
#include "formats/bitsandbytes/quant_state.h"
#include "formats/skip_list.h"
#include "scheme/blockwise.h"

namespace farthing::formats::bitsandbytes {
namespace {

using checkpoint::TensorPlan;

constexpr std::int64_t kSmallestBlock = 32, kLargestBlock = 4096;

QuantState state_of(const scheme::QuantizationArgs& args, std::int64_t rows, std::int64_t columns,
                    DType dtype) {
  QuantState state{
      .type = args.type, .block_size = *args.group_size, .dtype = dtype, .rows = rows, .columns = columns};
  if (args.scale_dtype == DType::kU8) state.nested = QuantState::Nested{};
  return state;
}

std::string state_name(const std::string& module, NumberType type) {
  return fmt::format("{}.weight.quant_state.bitsandbytes__{}", module, type_name(type));
}

// Pairs of codes in a byte, the first one in the high half; an odd end is filled with zero.
Tensor packed_codes(const Tensor& codes) {
  const std::int64_t count = codes.numel();
  Tensor packed = Tensor::zeros(DType::kU8, {(count + 1) / 2, 1});
  const std::uint8_t* in = codes.data<std::uint8_t>();
  std::uint8_t* out = packed.mutable_data<std::uint8_t>();
  for (std::int64_t i = 0; i < count; ++i)
    out[i / 2] = static_cast<std::uint8_t>(out[i / 2] | (i % 2 == 0 ? in[i] << 4 : in[i]));
  return packed;
}

Tensor text_tensor(const std::string& text) {
  return Tensor::of<std::uint8_t>({static_cast<std::int64_t>(text.size())},
                                  std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
}

}  // namespace

void Writer::check(const scheme::Scheme& scheme, std::int64_t rows, std::int64_t columns) const {
  const auto require = [&](bool holds, std::string message, std::string hint) {
    FARTHING_REQUIRE(holds, Code::kUnsupported, std::move(message),
                     {{"scheme", scheme::describe(scheme)}, {"rows", rows}, {"columns", columns}},
                     std::move(hint));
  };
  require(scheme.weights && !scheme.input_activations && !scheme.output_activations &&
              (scheme::is_blockwise(*scheme.weights) || scheme::is_llm_int8(*scheme.weights)),
          "bitsandbytes files hold NF4, FP4 and LLM.int8 weights", "use --scheme NF4, FP4 or LLM_INT8");
  const scheme::QuantizationArgs& args = *scheme.weights;
  scheme::require_weight_args(args, "weights");
  const std::int64_t block = args.group_size.value_or(kSmallestBlock);
  require(block >= kSmallestBlock && block <= kLargestBlock && (block & (block - 1)) == 0,
          fmt::format("bitsandbytes has no blocks of {} elements", block),
          "use a power of two from 32 to 4096");
}

std::vector<TensorPlan> Writer::plan_tensors(const std::string& module, const scheme::Scheme& scheme,
                                             std::int64_t rows, std::int64_t columns,
                                             DType model_dtype) const {
  check(scheme, rows, columns);
  const scheme::QuantizationArgs& args = *scheme.weights;
  if (scheme::is_llm_int8(args)) {
    return {{module + ".weight", DType::kI8, {rows, columns}},
            {module + ".SCB", DType::kF32, {rows}},
            {module + ".weight_format", DType::kU8, {}}};
  }
  const QuantState state = state_of(args, rows, columns, model_dtype);
  const std::int64_t count = rows * columns, blocks = (count + state.block_size - 1) / state.block_size;
  std::vector<TensorPlan> plan = {
      {module + ".weight", DType::kU8, {(count + 1) / 2, 1}},
      {module + ".weight.absmax", state.nested ? DType::kU8 : DType::kF32, {blocks}},
      {module + ".weight.quant_map", DType::kF32, {16}}};
  if (state.nested) {
    const std::int64_t nested = (blocks + state.nested->block_size - 1) / state.nested->block_size;
    plan.push_back({module + ".weight.nested_absmax", DType::kF32, {nested}});
    plan.push_back({module + ".weight.nested_quant_map", DType::kF32, {256}});
  }
  plan.push_back({state_name(module, args.type),
                  DType::kU8,
                  {static_cast<std::int64_t>(quant_state_text(state).size())}});
  return plan;
}

std::vector<std::pair<std::string, Tensor>> Writer::encode(const std::string& module,
                                                           const scheme::Scheme& scheme,
                                                           const QuantizedMatrix& weight, ThreadPool&) const {
  check(scheme, weight.rows, weight.columns);
  const scheme::QuantizationArgs& args = *scheme.weights;
  FARTHING_CHECK(weight.type == args.type && weight.bits == args.num_bits, "{} was not made under {}", module,
                 scheme::describe(scheme));
  if (scheme::is_llm_int8(args)) {
    FARTHING_CHECK(weight.global_scale == 127);
    return {{module + ".weight", weight.codes},
            {module + ".SCB", weight.scales.reshape({weight.rows})},
            {module + ".weight_format", Tensor::zeros(DType::kU8, {})}};
  }
  QuantState state = state_of(args, weight.rows, weight.columns, weight.rounding);
  FARTHING_CHECK(state.nested.has_value() == (weight.nested_scales != nullptr) &&
                 weight.block_size == state.block_size);
  std::vector<std::pair<std::string, Tensor>> tensors = {{module + ".weight", packed_codes(weight.codes)}};
  if (const NestedScales* nested = weight.nested_scales.get()) {
    state.nested->offset = nested->offset;
    state.nested->block_size = nested->block_size;
    tensors.emplace_back(module + ".weight.absmax", nested->codes);
    tensors.emplace_back(module + ".weight.quant_map", weight.table);
    tensors.emplace_back(module + ".weight.nested_absmax", nested->scales);
    tensors.emplace_back(module + ".weight.nested_quant_map", nested->table);
  } else {
    tensors.emplace_back(module + ".weight.absmax", scheme::scales_by_block(weight));
    tensors.emplace_back(module + ".weight.quant_map", weight.table);
  }
  tensors.emplace_back(state_name(module, args.type), text_tensor(quant_state_text(state)));
  return tensors;
}

Json Writer::quantization_config(const ModelQuantization& model) const {
  FARTHING_CHECK(!model.groups.empty());
  const scheme::QuantizationArgs& args = *model.groups.front().scheme.weights;
  const bool eight = scheme::is_llm_int8(args);
  for (const scheme::ConfigGroup& group : model.groups) {
    const scheme::QuantizationArgs& other = *group.scheme.weights;
    FARTHING_REQUIRE(other.type == args.type && scheme::is_llm_int8(other) == eight &&
                         other.scale_dtype == args.scale_dtype,
                     Code::kUnsupported, "bitsandbytes files have one kind of weights",
                     {{"first", scheme::describe(model.groups.front().scheme)},
                      {"other", scheme::describe(group.scheme)}});
  }
  const std::vector<std::string> skipped = skip_list(model.ignore);
  return {{"_load_in_4bit", !eight},
          {"_load_in_8bit", eight},
          {"bnb_4bit_compute_dtype", "bfloat16"},
          {"bnb_4bit_quant_storage", "uint8"},
          {"bnb_4bit_quant_type", args.type == NumberType::kNf4 ? "nf4" : "fp4"},
          {"bnb_4bit_use_double_quant", args.scale_dtype == DType::kU8},
          {"llm_int8_enable_fp32_cpu_offload", false},
          {"llm_int8_has_fp16_weight", false},
          {"llm_int8_skip_modules", skipped.empty() ? Json() : Json(skipped)},
          {"llm_int8_threshold", 6.0},
          {"load_in_4bit", !eight},
          {"load_in_8bit", eight},
          {"quant_method", "bitsandbytes"}};
}

}  // namespace farthing::formats::bitsandbytes
