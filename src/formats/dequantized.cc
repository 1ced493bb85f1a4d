#include "formats/dequantized.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "scheme/quantizer.h"

namespace farthing::formats {
namespace {

using checkpoint::Checkpoint;

// What a config says of quantization, at each level that may say it.
void forget_quantization(Json& config) {
  for (Json* level : {&config, config.contains("text_config") ? &config["text_config"] : nullptr}) {
    if (level == nullptr || !level->is_object()) continue;
    for (const char* key : {"quantization_config", "compression_config"}) level->erase(key);
  }
}

// Numbers of quantized activations and caches, which plain weights have no use for.
bool is_activation_scale(std::string_view name) {
  for (const std::string_view ending :
       {".input_scale", ".output_scale", ".input_zero_point", ".output_zero_point", ".input_global_scale",
        ".k_scale", ".v_scale", ".q_scale"}) {
    if (name.ends_with(ending)) return true;
  }
  return false;
}

}  // namespace

DType plain_dtype(const Json& config) {
  for (const Json* level : {&config, config.contains("text_config") ? &config["text_config"] : nullptr}) {
    if (level == nullptr || !level->is_object()) continue;
    for (const std::string_view key : {"dtype", "torch_dtype"}) {
      const auto found = level->find(key);
      if (found == level->end() || !found->is_string()) continue;
      if (const auto dtype = parse_torch_dtype(found->get<std::string>())) return *dtype;
    }
  }
  return DType::kBF16;
}

Checkpoint dequantized(const Checkpoint& checkpoint, OtherSpelling other_spelling,
                       const std::function<bool(std::string_view)>& is_transposed, ThreadPool& pool) {
  Json config = checkpoint.config();
  const std::shared_ptr<const WeightReader> reader = detect(checkpoint, config, std::move(other_spelling));
  const std::vector<std::string> modules = reader->modules();
  if (modules.empty()) return checkpoint;
  const DType dtype = plain_dtype(config);
  std::set<std::string> hidden;
  std::vector<Checkpoint::DerivedTensor> derived;
  for (const std::string& module : modules) {
    checkpoint::TensorInfo info{.name = module + ".weight", .dtype = dtype};
    for (const std::string& part : reader->tensors_of(module)) {
      const checkpoint::TensorInfo& stored = checkpoint.at(part);
      FARTHING_REQUIRE(hidden.insert(part).second, Code::kUnsupported,
                       "several quantized weights lie in one tensor", {{"tensor", part}},
                       "start from the original 16-bit checkpoint");
      info.file = stored.file;
      info.offset = stored.offset;
      info.stored_bytes += stored.num_bytes;
    }
    const WeightDescription description = reader->describe(module);
    const bool transposed = is_transposed && is_transposed(module);
    info.shape = transposed ? Shape{description.columns, description.rows}
                            : Shape{description.rows, description.columns};
    derived.push_back({std::move(info), [reader, module, dtype, transposed, &pool] {
                         const QuantizedMatrix weight = reader->read(module);
                         const Tensor values = from_float32(
                             to_float32(scheme::dequantize(weight, pool, weight.rounding)), dtype);
                         return transposed ? transpose(values) : values;
                       }});
  }
  for (const checkpoint::TensorInfo& info : checkpoint.tensors()) {
    if (is_activation_scale(info.name)) hidden.insert(info.name);
  }
  forget_quantization(config);
  return checkpoint.with_derived(hidden, std::move(derived), std::move(config));
}

}  // namespace farthing::formats
