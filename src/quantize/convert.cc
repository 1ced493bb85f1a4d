#include "quantize/convert.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "checkpoint/staging.h"
#include "checkpoint/writer.h"
#include "formats/weight_format.h"
#include "models/family.h"
#include "models/tensor_part.h"
#include "plan/modifier_match.h"
#include "plan/quantize_plan.h"
#include "quantize/finish.h"
#include "scheme/quantizer.h"

namespace farthing::quantize {
namespace {

using checkpoint::Checkpoint;
using checkpoint::TensorPlan;

// One quantized weight of the source, known after it was read once.
struct Layer {
  std::string module;
  scheme::Scheme scheme;  // as the target will say it
  std::int64_t rows = 0, columns = 0;
  DType value_dtype = DType::kBF16;           // of the scales, or of the weight before
  bool centred = true;                        // all zero points lie in the middle of the range
  std::optional<models::TensorPart> experts;  // a part of it, where it holds all experts of a layer
};

bool is_centred(const QuantizedMatrix& weight) {
  return weight.symmetric || std::ranges::all_of(weight.zero_points.span<std::int8_t>(),
                                                 [](std::int8_t zero) { return zero == 0; });
}

// AutoGPTQ's damaged files have zero points that no field of theirs can say.
void require_zero_points_fit(const QuantizedMatrix& weight, const std::string& module) {
  if (weight.symmetric) return;
  const int limit = 1 << (weight.bits - 1);
  for (const std::int8_t zero : weight.zero_points.span<std::int8_t>()) {
    FARTHING_REQUIRE(zero >= -limit && zero < limit, Code::kUnsupported,
                     "converting would change weights: a zero point does not fit its bits",
                     {{"module", module}, {"zero_point", zero + limit}, {"bits", weight.bits}},
                     "the file was damaged when it was written; use --dequantize to get its values");
  }
}

// The type of a plain checkpoint's weights.
DType model_dtype(const Json& config) {
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

class Conversion {
 public:
  Conversion(const Checkpoint& source, const std::optional<nn::ModelSpec>& spec,
             const ConvertOptions& options, ThreadPool& pool, Reporter& reporter, const CancelToken& cancel)
      : source_(source),
        spec_(spec),
        options_(options),
        pool_(pool),
        reporter_(reporter),
        cancel_(cancel),
        config_(source.config()),
        reader_(formats::detect(source, config_)),
        plain_dtype_(options.dtype.value_or(model_dtype(config_))) {}

  ConvertResult run() {
    survey();
    if (to_format()) choose_writer();
    checkpoint::StagedDirectory staged(options_.output, {.overwrite = options_.overwrite});
    checkpoint::CheckpointWriter writer(staged.path(), plan());
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      cancel_.check();
      to_format() ? carry_over(layers_[i], writer) : dequantize(layers_[i], writer);
      report(i + 1);
    }
    copy_the_rest(writer);
    writer.finish();
    write_side_files(staged.path());
    if (to_format()) compare(staged.path());
    staged.commit();
    result_.from = reader_->method();
    result_.to = to_format() ? writer_->name() : "none";
    result_.layers = static_cast<std::int64_t>(layers_.size());
    result_.bytes_in = source_.total_bytes();
    result_.bytes_out = writer.total_bytes();
    return result_;
  }

 private:
  bool to_format() const { return !options_.format.empty(); }

  // Reads every quantized weight once: what the target must be able to say is then known before any work.
  void survey() {
    for (const std::string& module : reader_->modules()) {
      cancel_.check();
      const QuantizedMatrix weight = reader_->read(module);
      Layer layer{.module = module,
                  .scheme = reader_->scheme_of(module),
                  .rows = weight.rows,
                  .columns = weight.columns,
                  .value_dtype = weight.table.defined() ? weight.rounding : weight.scales.dtype(),
                  .centred = is_centred(weight),
                  .experts = experts_in(module)};
      FARTHING_REQUIRE(!layer.experts || !to_format(), Code::kUnsupported,
                       "experts that lie together cannot be converted as they are", {{"module", module}},
                       "use --dequantize, then farthing quantize for the other format");
      scheme::QuantizationArgs& args = *layer.scheme.weights;
      args.symmetric = weight.symmetric;
      if (weight.group_index.defined())
        args.actorder = scheme::ActivationOrder::kGroup;
      else if (args.actorder == scheme::ActivationOrder::kGroup)
        args.actorder = scheme::ActivationOrder::kNone;
      if (to_format()) require_zero_points_fit(weight, module);
      for (const std::string& tensor : reader_->tensors_of(module)) replaced_.emplace(tensor, module);
      source_.release(reader_->tensors_of(module).front());
      layers_.push_back(std::move(layer));
    }
    FARTHING_REQUIRE(!layers_.empty() || !to_format(), Code::kInvalidArgument,
                     "nothing in this checkpoint is quantized", {{"folder", source_.directory().string()}},
                     "use farthing quantize to make it smaller");
    // Formats that always store zero points say nothing by storing the middle.
    if (std::ranges::all_of(layers_, &Layer::centred)) {
      for (Layer& layer : layers_) layer.scheme.weights->symmetric = true;
    }
  }

  void choose_writer() {
    std::vector<scheme::Scheme> schemes;
    for (Layer& layer : layers_) {
      layer.scheme.format.clear();  // chosen anew by the target
      schemes.push_back(layer.scheme);
    }
    writer_ = formats::writer_for(formats::writer_for(options_.format)->name_for(schemes));
    for (const Layer& layer : layers_) {
      try {
        writer_->check(layer.scheme, layer.rows, layer.columns);
      } catch (const Error& error) {
        std::vector<Field> fields = {{"module", layer.module}};
        fields.insert(fields.end(), error.fields().begin(), error.fields().end());
        throw Error(error.code(), "cannot convert without loss: " + error.message(), std::move(fields),
                    "use --dequantize, then farthing quantize for the other format");
      }
    }
    quantization_ = describe();
    quantization_config_ = writer_->quantization_config(quantization_);
  }

  formats::ModelQuantization describe() const {
    formats::ModelQuantization model;
    std::vector<std::pair<scheme::Scheme, std::vector<std::string>>> groups;
    for (const Layer& layer : layers_) {
      auto known = std::ranges::find(groups, layer.scheme,
                                     &std::pair<scheme::Scheme, std::vector<std::string>>::first);
      if (known == groups.end()) known = groups.insert(groups.end(), {layer.scheme, {}});
      known->second.push_back(layer.module);
    }
    // The largest group is meant by its class, the others by name, which goes first.
    std::ranges::stable_sort(groups, std::greater{}, [](const auto& group) { return group.second.size(); });
    for (auto& [scheme, modules] : groups) {
      const bool first = model.groups.empty();
      model.groups.push_back({.name = fmt::format("group_{}", model.groups.size()),
                              .targets = first ? std::vector<std::string>{"Linear"} : std::move(modules),
                              .scheme = scheme});
    }
    model.ignore = plain_linears();
    return model;
  }

  // Linears that stay as they are, in every spelling that loaders use.
  std::vector<std::string> plain_linears() const {
    std::vector<std::string> names;
    std::set<std::string> quantized;
    for (const Layer& layer : layers_)
      quantized.insert(spec_ ? models::canonical_name(*spec_, layer.module) : layer.module);
    if (!spec_) return {"lm_head"};
    for (const models::ModuleInfo& module : models::linears_of(*spec_)) {
      if (quantized.contains(module.path)) continue;
      for (std::string& name : plan::spellings(*spec_, module.path)) names.push_back(std::move(name));
    }
    return names;
  }

  std::optional<models::TensorPart> experts_in(const std::string& module) const {
    if (!spec_) return {};
    const std::string path = models::canonical_name(*spec_, module);
    const auto parts =
        models::fused_parts_of(*spec_, [&](const std::string& whole) { return whole == path; });
    if (parts.empty()) return {};
    return parts.begin()->second;
  }

  // Name and shape of a weight that is no longer quantized.
  TensorPlan plain(const Layer& layer) const {
    if (layer.experts) return {layer.module, plain_dtype_, layer.experts->whole_shape};
    const Shape shape =
        is_transposed(layer) ? Shape{layer.columns, layer.rows} : Shape{layer.rows, layer.columns};
    return {layer.module + ".weight", plain_dtype_, shape};
  }

  bool is_transposed(const Layer& layer) const {
    if (!spec_) return false;
    const std::string path = models::canonical_name(*spec_, layer.module);
    return std::ranges::any_of(models::linears_of(*spec_), [&](const models::ModuleInfo& module) {
      return module.path == path && module.class_name == "Conv1D";
    });
  }

  // A tensor of the source that is copied, in the type that it will have.
  TensorPlan copied(const checkpoint::TensorInfo& info) const {
    const bool converts =
        !to_format() && options_.dtype && is_floating_point(info.dtype) && dtype_bits(info.dtype) >= 16;
    return {info.name, converts ? plain_dtype_ : info.dtype, info.shape};
  }

  // The order of the source, each module's tensors where its first one was.
  std::vector<TensorPlan> plan() {
    std::vector<TensorPlan> tensors;
    std::set<std::string> done;
    for (const checkpoint::TensorInfo& info : source_.tensors()) {
      const auto part = replaced_.find(info.name);
      if (part == replaced_.end()) {
        tensors.push_back(copied(info));
        continue;
      }
      if (!done.insert(part->second).second) continue;
      const Layer& layer = *std::ranges::find(layers_, part->second, &Layer::module);
      if (to_format()) {
        for (TensorPlan& tensor :
             writer_->plan_tensors(layer.module, layer.scheme, layer.rows, layer.columns, layer.value_dtype))
          tensors.push_back(std::move(tensor));
      } else {
        tensors.push_back(plain(layer));
      }
    }
    return tensors;
  }

  void carry_over(const Layer& layer, checkpoint::CheckpointWriter& writer) {
    QuantizedMatrix weight = reader_->read(layer.module);
    weight.symmetric = layer.scheme.weights->symmetric;
    for (const auto& [name, tensor] : writer_->encode(layer.module, layer.scheme, weight, pool_))
      writer.write(name, tensor);
  }

  void dequantize(const Layer& layer, checkpoint::CheckpointWriter& writer) {
    const QuantizedMatrix weight = reader_->read(layer.module);
    const Tensor values = scheme::dequantize(weight, pool_, weight.rounding);
    const Tensor rounded = from_float32(values, plain_dtype_);
    const Tensor back = to_float32(rounded);
    result_.lossless = result_.lossless && std::ranges::equal(values.span<float>(), back.span<float>());
    const Tensor stored = layer.experts          ? models::put_together(rounded, *layer.experts)
                          : is_transposed(layer) ? transpose(rounded)
                                                 : rounded;
    writer.write(plain(layer).name, stored);
  }

  void copy_the_rest(checkpoint::CheckpointWriter& writer) {
    for (const checkpoint::TensorInfo& info : source_.tensors()) {
      if (replaced_.contains(info.name)) continue;
      cancel_.check();
      const DType dtype = copied(info).dtype;
      if (dtype == info.dtype) {
        writer.write_stream(info.name,
                            [&](const checkpoint::ByteSink& sink) { source_.stream(info.name, sink); });
        continue;
      }
      const Tensor values = to_float32(source_.read(info.name));
      const Tensor rounded = from_float32(values, dtype);
      const Tensor back = to_float32(rounded);
      result_.lossless = result_.lossless && std::ranges::equal(values.span<float>(), back.span<float>());
      writer.write(info.name, rounded);
    }
  }

  void write_side_files(const std::filesystem::path& directory) const {
    checkpoint::copy_side_files(source_.directory(), directory,
                                {"config.json", "quantize_config.json", "quant_config.json", "recipe.yaml",
                                 "report.json", "report.html"});
    Json config = config_;
    for (Json* level : {&config, config.contains("text_config") ? &config["text_config"] : nullptr}) {
      if (level == nullptr || !level->is_object()) continue;
      level->erase("quantization_config");
      level->erase("compression_config");
      for (const std::string_view key : {"dtype", "torch_dtype"}) {
        if (!to_format() && level->contains(key)) (*level)[std::string(key)] = torch_dtype_name(plain_dtype_);
      }
    }
    if (to_format()) {
      config["quantization_config"] = quantization_config_;
      for (const auto& [name, content] : writer_->side_files(quantization_))
        write_text_atomically(directory / name, content.dump(2) + "\n");
    }
    write_text_atomically(directory / "config.json", config.dump(2) + "\n");
    write_tokenizer(source_, directory, reporter_);
  }

  // Every value, before the type in which a loader would form it.
  void compare(const std::filesystem::path& directory) const {
    const Checkpoint written = Checkpoint::open(directory);
    const auto reader = formats::detect(written, written.config());
    for (const Layer& layer : layers_) {
      cancel_.check();
      const Tensor before = scheme::dequantize(reader_->read(layer.module), pool_);
      const Tensor after = scheme::dequantize(reader->read(layer.module), pool_);
      FARTHING_REQUIRE(
          before.shape() == after.shape() && std::ranges::equal(before.span<float>(), after.span<float>()),
          Code::kVerification, "a weight reads back differently from what was converted",
          {{"module", layer.module}});
    }
  }

  void report(std::size_t done) const {
    reporter_.progress({.stage = "convert",
                        .fraction = static_cast<double>(done) / static_cast<double>(layers_.size()),
                        .done = static_cast<std::int64_t>(done),
                        .total = static_cast<std::int64_t>(layers_.size()),
                        .detail = layers_[done - 1].module});
  }

  const Checkpoint& source_;
  const std::optional<nn::ModelSpec>& spec_;
  const ConvertOptions& options_;
  ThreadPool& pool_;
  Reporter& reporter_;
  const CancelToken& cancel_;
  Json config_;
  std::unique_ptr<formats::WeightReader> reader_;
  DType plain_dtype_;
  std::unique_ptr<formats::WeightWriter> writer_;  // null for plain weights
  formats::ModelQuantization quantization_;
  Json quantization_config_;
  std::vector<Layer> layers_;
  std::map<std::string, std::string> replaced_;  // tensors of the source to their modules
  ConvertResult result_;
};

}  // namespace

ConvertResult convert(const Checkpoint& source, const std::optional<nn::ModelSpec>& spec,
                      const ConvertOptions& options, ThreadPool& pool, Reporter& reporter,
                      const CancelToken& cancel) {
  return Conversion(source, spec, options, pool, reporter, cancel).run();
}

}  // namespace farthing::quantize
