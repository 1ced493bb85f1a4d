#include "formats/gptq/reader.h"

#include <algorithm>

#include "base/error.h"
#include "formats/module_tensors.h"
#include "scheme/packing.h"

namespace farthing::formats::gptq {
namespace {

using scheme::WordLayout;

constexpr std::string_view kSuffixes[] = {"qweight", "qzeros", "scales", "g_idx"};

struct Sizes {
  std::int64_t rows = 0, columns = 0, groups = 0, group_size = 0;
};

// What the shapes say, checked against each other and against bits and group size of the config.
Sizes sizes_of(const ModuleTensors& module, const Settings& settings) {
  const checkpoint::TensorInfo &codes = module.at("qweight"), &scales = module.at("scales");
  module.require(codes.dtype == DType::kI32 && codes.shape.size() == 2, "qweight",
                 "packed weight is not a matrix of I32");
  module.require(scales.shape.size() == 2 && scales.shape[1] == codes.shape[1], "scales",
                 "scales do not have a column per output as qweight does");
  Sizes sizes{.rows = codes.shape[1], .groups = scales.shape[0]};
  // Old files have no g_idx; then the words are full.
  sizes.columns =
      module.has("g_idx") ? num_elements(module.at("g_idx").shape) : codes.shape[0] * 32 / settings.bits;
  const std::int64_t words = scheme::num_words(sizes.columns, settings.bits, WordLayout::kDense);
  module.require(
      codes.shape[0] == words, "qweight",
      fmt::format("packed weight does not hold {} inputs of {} bits", sizes.columns, settings.bits));
  sizes.group_size = settings.group_size > 0 ? settings.group_size : std::max<std::int64_t>(sizes.columns, 1);
  const std::int64_t groups = (sizes.columns + sizes.group_size - 1) / sizes.group_size;
  module.require(
      sizes.groups == groups, "scales",
      fmt::format("there are not {} groups of {} inputs as the config says", groups, sizes.group_size));
  return sizes;
}

// One is added to every word of GPTQModel's files at once, because it is taken away so: where a zero point is
// 0, fields borrow from their neighbours. Fields that straddle words are treated one by one.
Tensor add_one_per_word(const Tensor& words, int bits) {
  std::uint32_t ones = 0;
  for (int bit = 0; bit < 32; bit += bits) ones |= 1u << bit;
  Tensor sum = words.clone();
  std::int32_t* values = sum.mutable_data<std::int32_t>();
  for (std::int64_t i = 0; i < sum.numel(); ++i)
    values[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(values[i]) + ones);
  return sum;
}

// Signed zero points [groups, rows]. AutoGPTQ writes a zero point of 0 as -1 over the whole rest of the word,
// and its kernels then compute with 2^bits in all of those fields; so do we, where a signed byte can.
Tensor read_zero_points(const ModuleTensors& module, const Sizes& sizes, int bits, const Config& config,
                        ThreadPool& pool) {
  Tensor words = module.read("qzeros");
  module.require(words.dtype() == DType::kI32 && words.rank() == 2 && words.dim(0) == sizes.groups &&
                     words.dim(1) == scheme::num_words(sizes.rows, bits, WordLayout::kDense),
                 "qzeros",
                 fmt::format("packed zero points do not hold {} groups of {} outputs with {} bits",
                             sizes.groups, sizes.rows, bits));
  const bool adds_words = config.version == Version::kV1 && !config.is_auto_gptq && bits != 3;
  if (adds_words) words = add_one_per_word(words, bits);
  Tensor zeros = scheme::unpack_rows(words, bits, sizes.rows, WordLayout::kDense, pool);
  if (config.version == Version::kV2 || adds_words) return zeros;
  const int middle = 1 << (bits - 1), mask = config.is_auto_gptq && bits < 8 ? -1 : (1 << bits) - 1;
  std::int8_t* values = zeros.mutable_data<std::int8_t>();
  for (std::int64_t i = 0; i < zeros.numel(); ++i)
    values[i] = static_cast<std::int8_t>(((values[i] + middle + 1) & mask) - middle);
  return zeros;
}

// Undefined when groups are contiguous.
Tensor read_group_index(const ModuleTensors& module, const Sizes& sizes) {
  const Tensor stored = module.read("g_idx");
  module.require(stored.dtype() == DType::kI32, "g_idx", "group index is not I32");
  const std::span<const std::int32_t> groups = stored.span<std::int32_t>();
  module.require(
      std::ranges::all_of(groups, [&](std::int32_t group) { return group >= 0 && group < sizes.groups; }),
      "g_idx", fmt::format("group index points outside of the {} groups", sizes.groups));
  for (std::int64_t i = 0; i < sizes.columns; ++i) {
    if (groups[i] != i / sizes.group_size) return stored.reshape({sizes.columns});
  }
  return Tensor();
}

}  // namespace

Reader::Reader(const checkpoint::Checkpoint& checkpoint, const Json& block, OtherSpelling other_spelling)
    : checkpoint_(checkpoint), config_(parse_config(block)), other_spelling_(std::move(other_spelling)) {}

std::vector<std::string> Reader::modules() const {
  return modules_with(checkpoint_, ".qweight");
}

bool Reader::is_quantized(std::string_view module) const {
  return ModuleTensors(checkpoint_, module).has("qweight");
}

std::vector<std::string> Reader::tensors_of(std::string_view module) const {
  return tensors_with(ModuleTensors(checkpoint_, module), kSuffixes);
}

const Settings& Reader::settings_of(std::string_view module) const {
  scheme::ModuleNames names{.names = {std::string(module)}, .class_name = "Linear"};
  if (other_spelling_) names.names.push_back(other_spelling_(module));
  return config_.settings_of(names);
}

scheme::Scheme Reader::scheme_of(std::string_view module) const {
  return gptq::scheme_of(settings_of(module));
}

WeightDescription Reader::describe(std::string_view module) const {
  const Sizes sizes = sizes_of(ModuleTensors(checkpoint_, module), settings_of(module));
  return {.rows = sizes.rows,
          .columns = sizes.columns,
          .scheme = scheme::describe(scheme_of(module)),
          .layout = config_.version == Version::kV2 ? "gptq_v2" : "gptq",
          .bits_per_weight = bits_per_weight(checkpoint_, tensors_of(module), sizes.rows, sizes.columns)};
}

QuantizedMatrix Reader::read(std::string_view module) const {
  const ModuleTensors tensors(checkpoint_, module);
  const Settings& settings = settings_of(module);
  const Sizes sizes = sizes_of(tensors, settings);
  ThreadPool pool(1);  // callers read modules in parallel
  QuantizedMatrix matrix{.rows = sizes.rows,
                         .columns = sizes.columns,
                         .bits = settings.bits,
                         .granularity = settings.group_size > 0 ? Granularity::kGroup : Granularity::kChannel,
                         .group_size = sizes.group_size};
  matrix.codes = scheme::unpack_rows(transpose(tensors.read("qweight")), settings.bits, sizes.columns,
                                     WordLayout::kDense, pool);
  const Tensor scales = tensors.read("scales");
  tensors.require(is_floating_point(scales.dtype()) && dtype_bits(scales.dtype()) >= 16, "scales",
                  "scales are not of a floating-point type");
  matrix.scales = transpose(scales);
  matrix.zero_points = transpose(read_zero_points(tensors, sizes, settings.bits, config_, pool));
  // A symmetric model stores the middle of the range everywhere. Where it does not, its zero points count.
  matrix.symmetric = settings.symmetric && std::ranges::all_of(matrix.zero_points.span<std::int8_t>(),
                                                               [](std::int8_t zero) { return zero == 0; });
  if (matrix.symmetric) matrix.zero_points = Tensor();
  if (tensors.has("g_idx")) matrix.group_index = read_group_index(tensors, sizes);
  // AutoGPTQ's kernels form the values in fp32, the others in the type of the scales.
  if (!config_.is_auto_gptq) matrix.rounding = scales.dtype();
  return matrix;
}

}  // namespace farthing::formats::gptq
