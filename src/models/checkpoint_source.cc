// Weights of a checkpoint under canonical names.
#include <algorithm>
#include <map>
#include <set>

#include "base/nearest_name.h"
#include "formats/weight_format.h"
#include "models/model.h"
#include "models/tensor_part.h"
#include "scheme/quantizer.h"
#include "scheme/regex.h"

namespace farthing::models {
namespace {

void require_shape(const Shape& shape, const Shape& expected, const std::filesystem::path& file,
                   const std::string& tensor) {
  FARTHING_REQUIRE(shape == expected, Code::kCorruptData, "a tensor has another shape than config.json says",
                   {{"file", file.string()},
                    {"tensor", tensor},
                    {"shape", to_string(shape)},
                    {"expected", to_string(expected)}},
                   "config.json may belong to another model");
}

}  // namespace

struct CheckpointSource::Index {
  Index(std::shared_ptr<const checkpoint::Checkpoint> file, const nn::ModelSpec& model)
      : checkpoint(std::move(file)), spec(model) {
    for (const checkpoint::TensorInfo& info : checkpoint->tensors())
      file_names.emplace(canonical_name(spec, info.name), info.name);
    reader = formats::detect(*checkpoint, checkpoint->config(), [names = spec](std::string_view module) {
      return canonical_name(names, module);
    });
    // Class names are enough: only Conv1D is stored the other way round.
    for (const ModuleInfo& linear : linears_of(spec))
      if (linear.class_name == "Conv1D") transposed.insert(linear.path);
    parts = fused_parts_of(spec, [&](const std::string& whole) {
      return find(whole) != nullptr || reader->is_quantized(file_name(whole));
    });
  }

  /// Null for what the file has alone.
  const TensorPart* part(std::string_view canonical) const {
    if (find(canonical) != nullptr) return nullptr;
    const auto at = parts.find(canonical);
    return at == parts.end() ? nullptr : &at->second;
  }
  const TensorPart* weight_part(std::string_view module) const {
    return module.empty() ? nullptr : part(std::string(module) + ".weight");
  }

  /// Module of the file in which a module's quantized weight lies.
  std::string quantized_module(std::string_view module) const {
    const TensorPart* inside = weight_part(module);
    return file_name(inside == nullptr ? module : inside->whole);
  }

  /// Null when the file has no such tensor.
  const std::string* find(std::string_view canonical) const {
    const auto at = file_names.find(canonical);
    return at == file_names.end() ? nullptr : &at->second;
  }

  /// The spelling of the file.
  std::string file_name(std::string_view canonical) const;

  bool is_quantized(const DeclaredTensor& declared) const {
    return !declared.module.empty() && reader->is_quantized(quantized_module(declared.module));
  }

  /// The shape that a dense file would have.
  Shape quantized_shape(const DeclaredTensor& declared) const {
    const formats::WeightDescription weight = reader->describe(quantized_module(declared.module));
    if (const TensorPart* inside = weight_part(declared.module)) {
      const bool fits =
          weight.rows == inside->whole_shape[0] * inside->outputs() && weight.columns == inside->inputs();
      return fits ? declared.shape : Shape{weight.rows, weight.columns};
    }
    if (transposed.contains(declared.module)) return {weight.columns, weight.rows};
    return {weight.rows, weight.columns};
  }

  std::shared_ptr<const checkpoint::Checkpoint> checkpoint;
  nn::ModelSpec spec;
  std::map<std::string, std::string, std::less<>> file_names;  // by canonical tensor name
  std::set<std::string, std::less<>> transposed;               // modules stored [in, out]
  TensorParts parts;                                           // of experts that lie together
  std::unique_ptr<formats::WeightReader> reader;
};

std::string CheckpointSource::Index::file_name(std::string_view canonical) const {
  if (const std::string* tensor = find(canonical)) return *tensor;
  // A module: what its first tensor is called in the file, without the part that both spellings end with.
  const std::string below = std::string(canonical) + ".";
  const auto first = file_names.lower_bound(below);
  if (first == file_names.end() || !first->first.starts_with(below)) return std::string(canonical);
  const std::string_view ending = std::string_view(first->first).substr(canonical.size());
  if (!first->second.ends_with(ending)) return std::string(canonical);  // a level that the file does not have
  return first->second.substr(0, first->second.size() - ending.size());
}

CheckpointSource::CheckpointSource(std::shared_ptr<const checkpoint::Checkpoint> checkpoint,
                                   const nn::ModelSpec& spec, WeightForm form)
    : index_(std::make_unique<Index>(std::move(checkpoint), spec)), form_(form) {}

CheckpointSource::~CheckpointSource() = default;

bool CheckpointSource::has(std::string_view tensor) const {
  return index_->find(tensor) != nullptr || index_->part(tensor) != nullptr;
}

Tensor CheckpointSource::tensor(std::string_view name) const {
  const std::string* file_name = index_->find(name);
  if (file_name != nullptr) return index_->checkpoint->read(*file_name);
  if (const TensorPart* part = index_->part(name)) return take_part(tensor(part->whole), *part);
  std::vector<std::string_view> known;
  for (const auto& [canonical, unused] : index_->file_names) known.push_back(canonical);
  const std::string nearest = nearest_name(name, known);
  throw Error(Code::kNotFound, "a tensor that the model needs is not in the checkpoint",
              {{"folder", index_->checkpoint->directory().string()}, {"tensor", std::string(name)}},
              nearest.empty() ? "the download may be incomplete, or config.json belongs to another model"
                              : "the nearest name is " + nearest);
}

std::variant<Tensor, QuantizedMatrix> CheckpointSource::linear_weight(std::string_view module) const {
  const std::string in_file = index_->quantized_module(module);
  if (index_->reader->is_quantized(in_file)) {
    const TensorPart* part = index_->weight_part(module);
    QuantizedMatrix weight =
        part == nullptr
            ? index_->reader->read(in_file)
            : index_->reader->read_rows(in_file, {.first = part->expert * part->outputs() + part->first,
                                                  .step = part->step,
                                                  .count = part->count});
    if (form_ == WeightForm::kAsStored || weight.rounding == DType::kF32) return weight;
    ThreadPool pool(1);  // modules are loaded in parallel
    return from_float32(scheme::dequantize(weight, pool, weight.rounding), weight.rounding);
  }
  Tensor weight = tensor(std::string(module) + ".weight");
  return index_->transposed.contains(module) ? transpose(weight) : weight;
}

std::optional<scheme::ActivationQuantization> CheckpointSource::activation(
    std::string_view module, scheme::ActivationSite site) const {
  return index_->reader->activation(index_->quantized_module(module), site);
}

void CheckpointSource::release(std::string_view prefix) const {
  const std::string below = std::string(prefix) + ".";
  for (auto at = index_->file_names.lower_bound(below);
       at != index_->file_names.end() && at->first.starts_with(below); ++at)
    index_->checkpoint->release(at->second);
}

std::string CheckpointSource::file_name(std::string_view canonical) const {
  return index_->file_name(canonical);
}

std::vector<std::string> CheckpointSource::unexplained() const {
  std::set<std::string> used;  // in the file's spelling
  for_each_tensor(index_->spec, [&](const DeclaredTensor& declared) {
    const TensorPart* part = index_->part(declared.name);
    if (const std::string* name = index_->find(part == nullptr ? declared.name : part->whole))
      used.insert(*name);
    if (!index_->is_quantized(declared)) return;
    const std::vector<std::string> parts =
        index_->reader->tensors_of(index_->quantized_module(declared.module));
    used.insert(parts.begin(), parts.end());
  });
  if (index_->spec.decoder.tie_word_embeddings)
    used.insert(file_name(index_->spec.decoder.lm_head + ".weight"));

  std::vector<scheme::Regex> leftovers;
  for (const std::string& pattern : index_->spec.ignored_tensors)
    leftovers.emplace_back(pattern, scheme::Regex::Fit::kWhole);
  std::vector<std::string> result;
  for (const checkpoint::TensorInfo& info : index_->checkpoint->tensors()) {
    const auto matches = [&](const scheme::Regex& leftover) { return leftover.matches(info.name); };
    if (!used.contains(info.name) && std::none_of(leftovers.begin(), leftovers.end(), matches))
      result.push_back(info.name);
  }
  return result;
}

void CheckpointSource::require_complete() const {
  for_each_tensor(index_->spec, [&](const DeclaredTensor& declared) {
    if (index_->is_quantized(declared)) {
      require_shape(index_->quantized_shape(declared), declared.shape, index_->checkpoint->directory(),
                    index_->quantized_module(declared.module));
      return;
    }
    const TensorPart* part = index_->part(declared.name);
    const std::string* name = index_->find(part == nullptr ? declared.name : part->whole);
    if (name == nullptr) tensor(declared.name);  // throws, with the nearest name
    const checkpoint::TensorInfo& info = index_->checkpoint->at(*name);
    require_shape(info.shape, part == nullptr ? declared.shape : part->whole_shape, info.file, *name);
    FARTHING_REQUIRE(is_floating_point(info.dtype), Code::kCorruptData, "a weight is stored as integers",
                     {{"file", info.file.string()}, {"tensor", *name}, {"dtype", dtype_name(info.dtype)}},
                     "the checkpoint may be quantized, with its quantization_config missing");
  });
}

}  // namespace farthing::models
