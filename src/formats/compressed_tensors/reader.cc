#include "formats/compressed_tensors/reader.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "scheme/packing.h"

namespace farthing::formats::compressed_tensors {
namespace {

using checkpoint::TensorInfo;
using scheme::CellGrid;
using scheme::QuantizationArgs;
using scheme::WordLayout;

constexpr std::string_view kSuffixes[] = {
    "weight",       "weight_packed",       "weight_scale", "weight_shape",     "weight_zero_point",
    "weight_g_idx", "weight_global_scale", "input_scale",  "input_zero_point", "input_global_scale",
    "output_scale", "output_zero_point",
};

// One module's tensors, with errors that name file and tensor.
class Module {
 public:
  Module(const checkpoint::Checkpoint& checkpoint, std::string_view module)
      : checkpoint_(checkpoint), module_(module) {}

  std::string name(std::string_view suffix) const { return fmt::format("{}.{}", module_, suffix); }
  const TensorInfo* find(std::string_view suffix) const { return checkpoint_.find(name(suffix)); }
  bool has(std::string_view suffix) const { return find(suffix) != nullptr; }

  Tensor read(std::string_view suffix) const {
    FARTHING_REQUIRE(has(suffix), Code::kNotFound, "tensor of a quantized weight is missing",
                     {{"file", file()}, {"tensor", name(suffix)}},
                     "the checkpoint is incomplete, or its config.json belongs to another one");
    return checkpoint_.read(name(suffix));
  }

  void require(bool holds, std::string_view suffix, std::string_view problem) const {
    if (holds) return;
    const TensorInfo* info = find(suffix);
    std::vector<Field> fields = {{"tensor", name(suffix)}};
    if (info != nullptr) {
      fields = {{"file", info->file.string()},
                {"tensor", info->name},
                {"dtype", dtype_name(info->dtype)},
                {"shape", to_string(info->shape)}};
    }
    throw Error(Code::kCorruptData, std::string(problem), std::move(fields));
  }

  // Scales beside a 16-bit weight are leftovers of a model that was saved uncompressed: its weight is dense.
  bool is_quantized() const {
    const TensorInfo* weight = find("weight");
    if (weight == nullptr) return has("weight_packed") || has("weight_scale");
    return weight->dtype == DType::kI8 || weight->dtype == DType::kF8E4M3;
  }

  Container container() const {
    if (const TensorInfo* packed = find("weight_packed")) {
      require(packed->dtype == DType::kI32 || packed->dtype == DType::kU8, "weight_packed",
              "packed weight is neither I32 nor U8");
      return packed->dtype == DType::kI32 ? Container::kPackedIntegers : Container::kPackedFp4;
    }
    const TensorInfo* weight = find("weight");
    if (weight == nullptr) read("weight");  // throws
    FARTHING_CHECK(weight != nullptr);
    require(weight->dtype == DType::kI8 || weight->dtype == DType::kF8E4M3, "weight",
            "quantized weight is neither I8 nor F8_E4M3");
    return weight->dtype == DType::kI8 ? Container::kPlainIntegers : Container::kFp8;
  }

 private:
  // Where the module's other tensors are.
  std::string file() const {
    for (const std::string_view suffix : kSuffixes) {
      if (const TensorInfo* info = find(suffix)) return info->file.string();
    }
    return checkpoint_.directory().string();
  }

  const checkpoint::Checkpoint& checkpoint_;
  std::string module_;
};

std::string_view layout_name(Container container, const QuantizationArgs& args) {
  const bool is_mx = args.scale_dtype == DType::kU8;
  switch (container) {
    case Container::kPackedIntegers:
      return "pack-quantized";
    case Container::kPlainIntegers:
      return "int-quantized";
    case Container::kFp8:
      return is_mx ? "mxfp8-quantized" : "float-quantized";
    case Container::kPackedFp4:
      return is_mx ? "mxfp4-pack-quantized" : "nvfp4-pack-quantized";
  }
  return "";
}

// Rows and columns of the weight.
Shape shape_of(const Module& module, Container container) {
  if (container == Container::kPlainIntegers || container == Container::kFp8) {
    const Shape& shape = module.find("weight")->shape;
    module.require(shape.size() == 2, "weight", "quantized weight is not a matrix");
    return shape;
  }
  const Shape& packed = module.find("weight_packed")->shape;
  module.require(packed.size() == 2, "weight_packed", "packed weight is not a matrix");
  if (container == Container::kPackedFp4) return {packed[0], packed[1] * 2};
  const Tensor stored = module.read("weight_shape");
  module.require(stored.numel() == 2 && (stored.dtype() == DType::kI64 || stored.dtype() == DType::kI32),
                 "weight_shape", "weight_shape is not two integers");
  Shape shape(2);
  for (int i = 0; i < 2; ++i) {
    shape[i] = stored.dtype() == DType::kI64 ? stored.reshape({2}).data<std::int64_t>()[i]
                                             : stored.data<std::int32_t>()[i];
  }
  module.require(shape[0] == packed[0], "weight_packed",
                 fmt::format("packed weight does not have the {} rows of weight_shape", shape[0]));
  return shape;
}

// The layout in which `words` hold `count` fields, or nothing.
std::optional<WordLayout> layout_of(std::int64_t words, std::int64_t count, int bits) {
  if (count < 0 || count > std::numeric_limits<std::int32_t>::max()) return std::nullopt;
  for (const WordLayout layout : {WordLayout::kDense, WordLayout::kWholeFields}) {
    if (scheme::num_words(count, bits, layout) == words) return layout;
  }
  return std::nullopt;
}

Tensor read_codes(const Module& module, Container container, const Shape& shape, const QuantizationArgs& args,
                  ThreadPool& pool) {
  const bool integers = container == Container::kPackedIntegers || container == Container::kPlainIntegers;
  const std::string_view suffix = module.has("weight_packed") ? "weight_packed" : "weight";
  module.require(integers == (args.type == NumberType::kInt), suffix,
                 "tensor does not hold the number type that the config says");
  Tensor stored = module.read(suffix);
  switch (container) {
    case Container::kPackedIntegers: {
      const std::optional<WordLayout> layout = layout_of(stored.dim(1), shape[1], args.num_bits);
      module.require(
          layout.has_value(), suffix,
          fmt::format("packed weight does not hold {} codes of {} bits in a row", shape[1], args.num_bits));
      return scheme::unpack_rows(stored, args.num_bits, shape[1], *layout, pool);
    }
    case Container::kPlainIntegers: {
      const int highest = (1 << (args.num_bits - 1)) - 1;
      const bool inside =
          args.num_bits == 8 || std::ranges::all_of(stored.span<std::int8_t>(), [&](std::int8_t code) {
            return code >= -highest - 1 && code <= highest;
          });
      module.require(inside, suffix, fmt::format("codes do not fit {} bits", args.num_bits));
      return stored;
    }
    case Container::kFp8:
      module.require(args.num_bits == 8, suffix,
                     "tensor does not hold the number of bits that the config says");
      return stored;
    case Container::kPackedFp4:
      module.require(args.num_bits == 4, suffix,
                     "tensor does not hold the number of bits that the config says");
      return scheme::unpack_nibbles(stored, pool);
  }
  return stored;
}

Tensor read_scales(const Module& module, const CellGrid& grid) {
  Tensor scales = module.read("weight_scale");
  module.require(scales.numel() == grid.scale_rows() * grid.scale_columns() &&
                     (scales.rank() < 2 || scales.dim(0) == grid.scale_rows()),
                 "weight_scale",
                 fmt::format("scales are not [{}, {}] as weight and config say", grid.scale_rows(),
                             grid.scale_columns()));
  if (scales.dtype() == DType::kU8) {  // MX exponents
    const auto owner = std::make_shared<const Tensor>(scales);
    scales = Tensor::view(DType::kF8E8M0, scales.shape(), owner->bytes(), owner);
  }
  module.require(is_floating_point(scales.dtype()), "weight_scale",
                 "scales are not of a floating-point type");
  return scales.reshape({grid.scale_rows(), grid.scale_columns()});
}

// Zero points are packed along the rows, except where a scale spans several rows.
Tensor read_zero_points(const Module& module, const CellGrid& grid, int bits, ThreadPool& pool) {
  constexpr std::string_view kSuffix = "weight_zero_point";
  const Tensor stored = module.read(kSuffix);
  const Shape shape = {grid.scale_rows(), grid.scale_columns()};
  if (stored.dtype() == DType::kI8) {
    module.require(stored.numel() == num_elements(shape), kSuffix, "there is not one zero point per scale");
    return stored.reshape(shape);
  }
  module.require(stored.dtype() == DType::kI32 && stored.rank() == 2 && stored.dim(1) == shape[1], kSuffix,
                 "zero points are neither I8 nor packed I32 with a column per group");
  const std::optional<WordLayout> layout = layout_of(stored.dim(0), shape[0], bits);
  module.require(layout.has_value(), kSuffix,
                 fmt::format("packed zero points do not hold {} rows of {} bits", shape[0], bits));
  return scheme::unpack_columns(stored, bits, shape[0], *layout, pool);
}

// Returns an undefined tensor when groups are contiguous, or were never ordered (all -1).
Tensor read_group_index(const Module& module, const CellGrid& grid) {
  constexpr std::string_view kSuffix = "weight_g_idx";
  const Tensor stored = module.read(kSuffix);
  module.require(stored.dtype() == DType::kI32 && stored.numel() == grid.columns, kSuffix,
                 "group index is not I32 with an entry per column");
  const std::span<const std::int32_t> groups = stored.span<std::int32_t>();
  if (std::ranges::all_of(groups, [](std::int32_t group) { return group == -1; })) return Tensor();
  module.require(std::ranges::all_of(
                     groups, [&](std::int32_t group) { return group >= 0 && group < grid.scale_columns(); }),
                 kSuffix, fmt::format("group index points outside of the {} groups", grid.scale_columns()));
  bool contiguous = true;
  for (std::int64_t i = 0; i < grid.columns; ++i)
    contiguous = contiguous && groups[i] == i / grid.cell_columns;
  return contiguous ? Tensor() : stored.reshape({grid.columns});
}

float read_global_scale(const Module& module) {
  const Tensor stored = module.read("weight_global_scale");
  module.require(stored.dtype() == DType::kF32 && stored.numel() == 1, "weight_global_scale",
                 "global scale is not one F32");
  const float value = stored.reshape({1}).data<float>()[0];
  module.require(value != 0.0f && all_finite(stored), "weight_global_scale",
                 "global scale is zero or not finite");
  return value;
}

// The numbers of a static tensor NAME, as fp32.
std::vector<float> read_numbers(const Module& module, std::string_view suffix) {
  Tensor stored = module.read(suffix);
  if (stored.dtype() == DType::kI8) {
    const auto values = stored.span<std::int8_t>();
    return {values.begin(), values.end()};
  }
  module.require(is_floating_point(stored.dtype()) && stored.numel() > 0 && all_finite(stored), suffix,
                 "the numbers of quantized activations are missing or not finite");
  const Tensor values = to_float32(stored);
  return {values.span<float>().begin(), values.span<float>().end()};
}

// PREFIX_scale, PREFIX_zero_point, PREFIX_global_scale, as far as `args` need them.
scheme::ActivationQuantization read_activation(const Module& module, const QuantizationArgs& args,
                                               std::string_view prefix) {
  scheme::ActivationQuantization result{.args = args};
  const auto named = [&](std::string_view what) { return fmt::format("{}_{}", prefix, what); };
  if (args.strategy == scheme::Strategy::kTensorGroup && args.dynamic != scheme::Dynamic::kDynamic) {
    result.global_scale = read_numbers(module, named("global_scale")).front();
  } else if (args.dynamic == scheme::Dynamic::kStatic) {
    result.scales = read_numbers(module, named("scale"));
    // A zero point of 0 everywhere may have been left out.
    if (module.has(named("zero_point"))) result.zero_points = read_numbers(module, named("zero_point"));
    module.require(result.zero_points.empty() || result.zero_points.size() == result.scales.size(),
                   named("zero_point"), "there is not one zero point per scale");
  }
  return result;
}

}  // namespace

Reader::Reader(const checkpoint::Checkpoint& checkpoint, const Json& block, OtherSpelling other_spelling)
    : checkpoint_(checkpoint), config_(parse_config(block)), other_spelling_(std::move(other_spelling)) {
  for (const scheme::ConfigGroup& group : config_.groups) targets_.add(group.targets);
}

std::vector<std::string> Reader::modules() const {
  std::vector<std::string> modules;
  for (const TensorInfo& info : checkpoint_.tensors()) {
    const std::size_t dot = info.name.rfind('.');
    if (dot == std::string::npos || !std::string_view(info.name).substr(dot).starts_with(".weight")) continue;
    std::string module = info.name.substr(0, dot);
    if ((modules.empty() || modules.back() != module) && is_quantized(module))
      modules.push_back(std::move(module));
  }
  std::sort(modules.begin(), modules.end());
  modules.erase(std::unique(modules.begin(), modules.end()), modules.end());
  return modules;
}

bool Reader::is_quantized(std::string_view module) const {
  return Module(checkpoint_, module).is_quantized();
}

std::vector<std::string> Reader::tensors_of(std::string_view module) const {
  const Module tensors(checkpoint_, module);
  std::vector<std::string> names;
  for (const std::string_view suffix : kSuffixes) {
    if (tensors.has(suffix)) names.push_back(tensors.name(suffix));
  }
  return names;
}

scheme::Scheme Reader::scheme_of(std::string_view module) const {
  scheme::ModuleNames names{.names = {std::string(module)}, .class_name = "Linear"};
  if (other_spelling_) names.names.push_back(other_spelling_(module));
  std::optional<std::size_t> found = targets_.find(names);
  if (!found) {  // GPT-2's
    names.class_name = "Conv1D";
    found = targets_.find(names);
  }
  FARTHING_REQUIRE(found || config_.groups.size() == 1, Code::kCorruptData,
                   "no config group is meant for a quantized module",
                   {{"file", (checkpoint_.directory() / "config.json").string()}, {"module", module}},
                   "compare the targets in quantization_config with: farthing inspect MODEL --tensors");
  return config_.groups[found.value_or(0)].scheme;
}

WeightDescription Reader::describe(std::string_view module) const {
  const scheme::Scheme scheme = scheme_of(module);
  const Module tensors(checkpoint_, module);
  FARTHING_REQUIRE(scheme.weights.has_value(), Code::kCorruptData,
                   "config group of a quantized module has no weights", {{"module", module}});
  const Container container = tensors.container();
  const Shape shape = shape_of(tensors, container);
  std::uint64_t bytes = 0;
  for (const std::string& name : tensors_of(module)) bytes += checkpoint_.at(name).num_bytes;
  const double elements = static_cast<double>(shape[0]) * static_cast<double>(shape[1]);
  return {.rows = shape[0],
          .columns = shape[1],
          .scheme = scheme::describe(scheme),
          .layout = std::string(layout_name(container, *scheme.weights)),
          .bits_per_weight = elements > 0 ? 8 * static_cast<double>(bytes) / elements : 0};
}

std::optional<scheme::ActivationQuantization> Reader::activation(std::string_view module,
                                                                 scheme::ActivationSite site) const {
  using scheme::ActivationSite;
  if (site == ActivationSite::kKeys || site == ActivationSite::kValues) {
    if (!config_.kv_cache_scheme) return {};
    const bool keys = site == ActivationSite::kKeys;
    // Releases before 0.8 hung the scales on the projections.
    const Module projection(checkpoint_, fmt::format("{}.{}", module, keys ? "k_proj" : "v_proj"));
    const Module attention(checkpoint_, module);
    const std::string_view prefix = keys ? "k" : "v";
    const bool is_dynamic = config_.kv_cache_scheme->dynamic == scheme::Dynamic::kDynamic;
    std::optional<scheme::ActivationQuantization> found;
    if (is_dynamic || attention.has(fmt::format("{}_scale", prefix)))
      found = read_activation(attention, *config_.kv_cache_scheme, prefix);
    else if (projection.has("output_scale"))
      found = read_activation(projection, *config_.kv_cache_scheme, "output");
    // Scales of 0 were never calibrated, and loaders do without them.
    return found && found->is_usable() ? found : std::nullopt;
  }
  if (!is_quantized(module)) return {};
  const scheme::Scheme scheme = scheme_of(module);
  const bool is_input = site == ActivationSite::kInput;
  const auto& args = is_input ? scheme.input_activations : scheme.output_activations;
  if (!args) return {};
  const Module tensors(checkpoint_, module);
  const std::string_view prefix = is_input ? "input" : "output";
  scheme::ActivationQuantization found = read_activation(tensors, *args, prefix);
  tensors.require(found.is_usable(), fmt::format("{}_scale", prefix),
                  "the scale of quantized activations is not positive");
  return found;
}

QuantizedMatrix Reader::read(std::string_view module) const {
  const Module tensors(checkpoint_, module);
  const scheme::Scheme scheme = scheme_of(module);
  FARTHING_REQUIRE(scheme.weights.has_value(), Code::kCorruptData,
                   "config group of a quantized module has no weights", {{"module", module}});
  const QuantizationArgs& args = *scheme.weights;
  const Container container = tensors.container();
  const Shape shape = shape_of(tensors, container);
  ThreadPool pool(1);  // callers read modules in parallel
  QuantizedMatrix matrix{.rows = shape[0],
                         .columns = shape[1],
                         .bits = args.num_bits,
                         .type = args.type,
                         .granularity = scheme::granularity_of(args)};
  matrix.codes = read_codes(tensors, container, shape, args, pool);
  const CellGrid grid = scheme::cell_grid(args, shape[0], shape[1]);
  matrix.group_size = grid.cell_columns;
  if (matrix.granularity == Granularity::kBlock) matrix.block_rows = grid.cell_rows;
  matrix.scales = read_scales(tensors, grid);
  // Whether zero points exist decides, not the config: symmetric schemes lose theirs when saved.
  matrix.symmetric = args.symmetric && !tensors.has("weight_zero_point");
  if (!matrix.symmetric) matrix.zero_points = read_zero_points(tensors, grid, args.num_bits, pool);
  if (tensors.has("weight_g_idx")) matrix.group_index = read_group_index(tensors, grid);
  if (args.strategy == scheme::Strategy::kTensorGroup) matrix.global_scale = read_global_scale(tensors);
  // The short floats and MX scales decompress to bf16, whatever the model's type.
  if (container == Container::kPackedFp4 || matrix.scales.dtype() == DType::kF8E8M0)
    matrix.rounding = DType::kBF16;
  return matrix;
}

}  // namespace farthing::formats::compressed_tensors
