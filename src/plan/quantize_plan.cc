#include "plan/quantize_plan.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/nearest_name.h"
#include "nn/names.h"
#include "plan/fold_plan.h"
#include "plan/guess_linears.h"
#include "plan/modifier_match.h"
#include "plan/quantization_block.h"

namespace farthing::plan {
namespace {

using scheme::ModuleNames;
using scheme::Target;

// The file's name of every canonical tensor name.
std::map<std::string, std::string> file_names_of(const checkpoint::Checkpoint& checkpoint,
                                                 const std::optional<nn::ModelSpec>& spec) {
  std::map<std::string, std::string> names;
  for (const auto& tensor : checkpoint.tensors())
    names.emplace(spec ? models::canonical_name(*spec, tensor.name) : tensor.name, tensor.name);
  return names;
}

void require_targets_match(const Recipe& recipe, std::span<const models::ModuleInfo> modules,
                           const std::optional<nn::ModelSpec>& spec) {
  std::set<std::string> classes, last_names;
  for (const auto& module : modules) {
    classes.insert(module.class_name);
    last_names.insert(module.path.substr(module.path.rfind('.') + 1));
  }
  for (const Modifier& modifier : recipe.modifiers) {
    for (const scheme::ConfigGroup& group : modifier.groups) {
      for (const std::string& pattern : group.targets) {
        const Target target(pattern);
        const bool fits = std::any_of(modules.begin(), modules.end(), [&](const auto& module) {
          return target.match(names_of(module, spec)).has_value();
        });
        FARTHING_REQUIRE(fits, Code::kInvalidArgument, "target matches no module",
                         {{"target", pattern}, {"recipe", recipe.origin}},
                         fmt::format("classes here: {}; modules are called {}", fmt::join(classes, ", "),
                                     fmt::join(last_names, ", ")));
      }
    }
  }
}

void require_ignore_matches(const Recipe& recipe, std::span<const models::ModuleInfo> modules,
                            const std::optional<nn::ModelSpec>& spec) {
  // Recipes are shared between models, so a pattern for a part that this model lacks is no mistake there; a
  // flag typed for this model is.
  if (recipe.origin != "command line") return;
  for (const Modifier& modifier : recipe.modifiers) {
    for (const std::string& pattern : modifier.ignore) {
      const Target target(pattern);
      const bool fits = std::any_of(modules.begin(), modules.end(), [&](const auto& module) {
        return target.match(names_of(module, spec)).has_value();
      });
      FARTHING_REQUIRE(fits, Code::kInvalidArgument, "--ignore matches no module", {{"pattern", pattern}},
                       "see the names with: farthing inspect MODEL --tensors");
    }
  }
}

// A group size that does not divide the columns becomes the largest power of two that does; below 16 columns
// a group no consumer accepts.
bool fit_group_size(scheme::Scheme& scheme, std::int64_t columns, std::string& what) {
  auto& weights = *scheme.weights;
  if (weights.strategy != scheme::Strategy::kGroup || columns % *weights.group_size == 0) return true;
  if (scheme::is_blockwise(weights)) return true;  // its blocks run over the ends of rows
  for (std::int64_t size = 128; size >= 16; size /= 2) {
    if (size > *weights.group_size || columns % size != 0) continue;
    what = fmt::format("group size {} does not divide {} columns; {} is used", *weights.group_size, columns,
                       size);
    weights.group_size = size;
    return true;
  }
  what = fmt::format("group size {} does not divide {} columns and no smaller one does; left as it is",
                     *weights.group_size, columns);
  return false;
}

scheme::ActivationOrder order_of(const Modifier& modifier, const scheme::QuantizationArgs& weights) {
  if (modifier.method != Method::kGptq || weights.type != NumberType::kInt)
    return scheme::ActivationOrder::kNone;
  if (modifier.gptq.actorder) return *modifier.gptq.actorder;
  return weights.actorder != scheme::ActivationOrder::kNone ? weights.actorder
                                                            : scheme::ActivationOrder::kWeight;
}

std::string_view default_format(const Recipe& recipe) {
  if (!recipe.format.empty()) return recipe.format;
  for (const Modifier& modifier : recipe.modifiers) {
    for (const scheme::ConfigGroup& group : modifier.groups) {
      const auto& weights = group.scheme.weights;
      if (weights && (scheme::is_blockwise(*weights) || scheme::is_llm_int8(*weights))) return "bitsandbytes";
    }
  }
  return "compressed-tensors";
}

class Planner {
 public:
  Planner(const checkpoint::Checkpoint& checkpoint, std::optional<nn::ModelSpec> spec, Recipe recipe,
          const PlanOptions& options)
      : checkpoint_(checkpoint),
        writer_(formats::writer_for(options.format.empty() ? default_format(recipe) : options.format)) {
    plan_.model_name = options.model_name;
    plan_.format = writer_->name();
    plan_.spec = std::move(spec);
    plan_.recipe = std::move(recipe);
    modules_ = plan_.spec ? models::linears_of(*plan_.spec) : guess_linears(checkpoint);
    files_ = file_names_of(checkpoint, plan_.spec);
    if (plan_.spec)
      parts_ = models::fused_parts_of(*plan_.spec,
                                      [&](const std::string& whole) { return files_.contains(whole); });
  }

  QuantizePlan make() {
    require_targets_match(plan_.recipe, modules_, plan_.spec);
    require_ignore_matches(plan_.recipe, modules_, plan_.spec);
    fill_default_ignore();
    choose_cache();
    choose_linears();
    choose_format();
    lay_out_steps();
    lay_out_caches();
    plan_folds(plan_, {.files = files_, .parts = parts_, .modules = modules_});
    lay_out_tensors();
    describe();
    return std::move(plan_);
  }

 private:
  void fill_default_ignore() {
    for (Modifier& modifier : plan_.recipe.modifiers) {
      if (!modifier.family_ignore || !plan_.spec) continue;
      const std::vector<std::string>& own = plan_.spec->default_ignore;
      modifier.ignore.insert(modifier.ignore.end(), own.begin(), own.end());
    }
  }

  void choose_cache() {
    for (const Modifier& modifier : plan_.recipe.modifiers) {
      if (!modifier.kv_cache_scheme) continue;
      FARTHING_REQUIRE(plan_.spec, Code::kUnsupported, "the cache of an unknown family cannot be quantized",
                       {}, "remove kv_cache_scheme");
      plan_.quantization.kv_cache_scheme = modifier.kv_cache_scheme;
      plan_.needs_calibration = true;
    }
  }

  // Every block has a cache, also one of which no linear is quantized.
  void lay_out_caches() {
    if (!plan_.quantization.kv_cache_scheme) return;
    const nn::DecoderSpec& decoder = plan_.spec->decoder;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(decoder.blocks.size()); ++i) {
      const nn::AttentionSpec& attention = decoder.blocks[static_cast<std::size_t>(i)].attention;
      if (attention.cross) continue;  // keys of pictures are no cache that grows
      const std::string path = nn::join(nn::join(decoder.path, decoder.layers), i);
      auto block = std::find_if(plan_.blocks.begin(), plan_.blocks.end(), [&](const BlockPlan& known) {
        return !known.is_audio && (known.index < 0 || known.index >= i);
      });
      if (block == plan_.blocks.end() || block->index != i)
        block = plan_.blocks.insert(block, {.index = i, .path = path});
      block->attention = nn::join(path, attention.name);
      const std::string below = "." + attention.inputs.front().name + ".weight";
      const checkpoint::TensorInfo& weight = checkpoint_.at(files_.at(block->attention + below));
      block->file_attention = weight.name.substr(0, weight.name.size() - below.size());
      block->dtype = weight.dtype;
    }
  }

  void choose_linears() {
    std::vector<CompiledModifier> modifiers;
    for (const Modifier& modifier : plan_.recipe.modifiers) modifiers.push_back(compile(modifier));
    for (const models::ModuleInfo& module : modules_) {
      const ModuleNames names = names_of(module, plan_.spec);
      bool targeted = false, done = false;
      for (const CompiledModifier& compiled : modifiers) {
        const auto group = compiled.groups.find(names);
        if (!group) continue;
        targeted = true;
        const bool ignored =
            fits_any(compiled.ignore, names) || (!plan_.spec && module.role == models::Role::kHead);
        if (ignored) continue;
        done = add_linear(module, *compiled.modifier, compiled.modifier->groups[*group].scheme);
        break;
      }
      if (targeted && !done) plan_.ignored.push_back(module.path);
    }
    FARTHING_REQUIRE(!plan_.linears.empty() || plan_.quantization.kv_cache_scheme, Code::kInvalidArgument,
                     "nothing is left to quantize",
                     {{"linears", modules_.size()}, {"ignored", plan_.ignored.size()}},
                     "ignore less, or target more");
  }

  bool add_linear(const models::ModuleInfo& module, const Modifier& modifier, scheme::Scheme scheme) {
    FARTHING_REQUIRE(scheme.weights, Code::kInvalidArgument, "the scheme quantizes no weights",
                     {{"module", module.path}});
    FARTHING_REQUIRE(!is_data_free(scheme) || modifier.method == Method::kRtn, Code::kInvalidArgument,
                     "the scheme is data-free: its codes are always the nearest ones",
                     {{"scheme", scheme::describe(scheme)}, {"method", method_name(modifier.method)}},
                     "leave the method to be chosen");
    LinearPlan linear{
        .module = module, .method = modifier.method, .scheme = std::move(scheme), .gptq = modifier.gptq};
    linear.source_tensor = source_of(module);
    linear.file_module = file_module_of(module);
    linear.transposed = module.class_name == "Conv1D";
    if (const models::TensorPart* part = part_of(module)) linear.part = *part;
    const checkpoint::TensorInfo& tensor = checkpoint_.at(linear.source_tensor);
    FARTHING_REQUIRE(is_floating_point(tensor.dtype) && dtype_bits(tensor.dtype) >= 16, Code::kUnsupported,
                     "the weight is quantized already",
                     {{"tensor", tensor.name}, {"dtype", dtype_name(tensor.dtype)}},
                     "start from the original 16-bit checkpoint");
    linear.dtype = tensor.dtype == DType::kF64 ? DType::kF32 : tensor.dtype;

    if (linear.has_static_input() && !can_be_calibrated(module)) {
      plan_.deviations.push_back(
          {module.path, plan_.spec ? "outside the decoder, so its inputs cannot be calibrated: left as it is"
                                   : "unknown family, so its inputs cannot be calibrated: left as it is"});
      return false;
    }
    std::string what;
    const bool fits = fit_group_size(linear.scheme, module.in_features, what);
    if (!what.empty()) plan_.deviations.push_back({module.path, what});
    if (!fits) return false;
    if (linear.method == Method::kGptq && !can_be_calibrated(module)) {
      linear.method = Method::kRtn;
      plan_.deviations.push_back(
          {module.path, plan_.spec ? "outside the decoder, so it sees no calibration here: rounded to nearest"
                                   : "unknown family: rounded to nearest"});
    }
    linear.scheme.weights->actorder = linear.method == Method::kGptq
                                          ? order_of(modifier, *linear.scheme.weights)
                                          : scheme::ActivationOrder::kNone;
    linear.scale_dtype = writer_->scale_dtype(linear.dtype);
    plan_.needs_calibration =
        plan_.needs_calibration || linear.method == Method::kGptq || linear.has_static_input();
    plan_.linears.push_back(std::move(linear));
    return true;
  }

  // Blocks of the decoder and of the tower of sounds, and the head.
  bool can_be_calibrated(const models::ModuleInfo& module) const {
    return plan_.spec && (module.block >= 0 || module.audio_block >= 0 || module.role == models::Role::kHead);
  }

  // Another version of the format where the schemes need it; then every linear must fit.
  void choose_format() {
    std::vector<scheme::Scheme> schemes;
    for (const LinearPlan& linear : plan_.linears) schemes.push_back(linear.scheme);
    plan_.format = writer_->name_for(schemes);
    writer_ = formats::writer_for(plan_.format);
    for (const LinearPlan& linear : plan_.linears)
      writer_->check(linear.scheme, linear.module.out_features, linear.module.in_features);
  }

  bool is_tied_head(const models::ModuleInfo& module) const {
    return plan_.spec && module.role == models::Role::kHead && plan_.spec->decoder.tie_word_embeddings;
  }

  // Null where the module's weight has a tensor of its own.
  const models::TensorPart* part_of(const models::ModuleInfo& module) const {
    const auto found = parts_.find(module.path + ".weight");
    return found == parts_.end() || files_.contains(found->first) ? nullptr : &found->second;
  }

  // The file's tensor with the module's weight.
  std::string source_of(const models::ModuleInfo& module) const {
    const std::string canonical =
        is_tied_head(module) ? plan_.spec->decoder.path + "." + plan_.spec->decoder.embed_tokens + ".weight"
                             : module.path + ".weight";
    const auto found = files_.find(canonical);
    if (found != files_.end()) return found->second;
    if (const models::TensorPart* part = part_of(module)) return files_.at(part->whole);
    const bool packed =
        files_.contains(module.path + ".weight_packed") || files_.contains(module.path + ".qweight");
    FARTHING_REQUIRE(!packed, Code::kUnsupported, "the checkpoint is quantized already",
                     {{"module", module.path}}, "start from the original 16-bit checkpoint");
    throw Error(Code::kNotFound, "the checkpoint lacks a weight that its config declares",
                {{"tensor", canonical}, {"folder", checkpoint_.directory().string()}},
                "the download may be incomplete");
  }

  std::string file_module_of(const models::ModuleInfo& module) const {
    if (const auto found = files_.find(module.path + ".weight"); found != files_.end()) {
      return found->second.substr(0, found->second.size() - std::string_view(".weight").size());
    }
    if (const models::TensorPart* part = part_of(module))
      return models::part_name(*part, module.path, files_.at(part->whole));
    // A tied head has no tensor of its own: it takes the spelling that the file would use.
    const auto all = spellings(*plan_.spec, module.path);
    const std::string embedding = source_of(module);
    for (const std::string& name : all) {
      if (name != module.path && embedding.starts_with(name.substr(0, name.find('.')) + ".")) return name;
    }
    return module.path;
  }

  void lay_out_steps() {
    std::map<std::string, std::size_t> block_of_path;
    std::map<std::pair<std::size_t, std::string>, std::size_t> step_of_key;
    std::vector<Target> targets = sequential_targets();
    std::set<std::string> used;
    // Blocks in order first, those of the tower before the decoder's; whatever lies outside (head, vision)
    // after them.
    std::vector<std::size_t> order(plan_.linears.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    const auto place = [&](std::size_t i) {
      const models::ModuleInfo& module = plan_.linears[i].module;
      return std::pair(static_cast<std::uint64_t>(module.audio_block),
                       static_cast<std::uint64_t>(module.block));
    };
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return place(a) < place(b); });
    for (const std::size_t i : order) {
      const models::ModuleInfo& module = plan_.linears[i].module;
      const bool is_audio = module.audio_block >= 0;
      const std::string path = block_path(module);
      const auto [entry, is_new] = block_of_path.try_emplace(path, plan_.blocks.size());
      if (is_new)
        plan_.blocks.push_back(
            {.index = is_audio ? module.audio_block : module.block, .is_audio = is_audio, .path = path});
      BlockPlan& block = plan_.blocks[entry->second];
      const std::string key = step_key(module, targets, used);
      const auto [step, first] = step_of_key.try_emplace({entry->second, key}, block.steps.size());
      if (first) block.steps.emplace_back();
      block.steps[step->second].linears.push_back(i);
    }
    for (const Target& target : targets) {
      FARTHING_REQUIRE(used.contains(target.pattern()), Code::kInvalidArgument,
                       "sequential target matches no module", {{"target", target.pattern()}},
                       sequential_hint());
    }
  }

  std::vector<Target> sequential_targets() const {
    std::vector<Target> targets;
    for (const Modifier& modifier : plan_.recipe.modifiers) {
      for (const std::string& pattern : modifier.sequential_targets) targets.emplace_back(pattern);
    }
    return targets;
  }

  std::string sequential_hint() const {
    std::set<std::string> classes = {"Linear"};
    for (const models::ModuleInfo& module : modules_) {
      if (module.block < 0 && module.audio_block < 0) continue;
      for (const auto& [path, class_name] : module.parents) classes.insert(class_name);
    }
    return fmt::format("this model has {}", fmt::join(classes, ", "));
  }

  // Linears with the same key are quantized after one calibration pass: the innermost enclosing module that
  // is a sequential target, the group of linears that share an input when linears themselves are targets,
  // else the whole block.
  std::string step_key(const models::ModuleInfo& module, const std::vector<Target>& targets,
                       std::set<std::string>& used) const {
    std::string key = "block";
    for (const Target& target : targets) {
      if (target.match({.names = {module.path}, .class_name = module.class_name})) {
        used.insert(target.pattern());
        key = module.input_group;
      }
      for (const auto& [path, class_name] : module.parents) {
        if (!target.match({.names = {path}, .class_name = class_name})) continue;
        used.insert(target.pattern());
        if (key == "block" || path.size() > key.size()) key = path;
      }
    }
    return key;
  }

  std::string block_path(const models::ModuleInfo& module) const {
    if (module.audio_block >= 0)
      return fmt::format("{}.layers.{}", plan_.spec->audio->path, module.audio_block);
    if (module.block < 0) return "outside";
    if (!plan_.spec) return fmt::format("block {}", module.block);
    return fmt::format("{}.{}.{}", plan_.spec->decoder.path, plan_.spec->decoder.layers, module.block);
  }

  void lay_out_tensors() {
    std::map<std::string, std::size_t> linear_of_tensor;
    std::map<std::string, std::vector<std::size_t>> linears_inside;  // by the tensor of their experts
    for (std::size_t i = 0; i < plan_.linears.size(); ++i) {
      const LinearPlan& linear = plan_.linears[i];
      if (is_tied_head(linear.module))
        plan_.unties_head = true;
      else if (linear.part)
        linears_inside[linear.source_tensor].push_back(i);
      else
        linear_of_tensor.emplace(linear.source_tensor, i);
    }
    std::uint64_t quantized_bits = 0;
    const auto add_quantized = [&](const LinearPlan& linear) {
      const auto tensors =
          writer_->plan_tensors(linear.file_module, linear.scheme, linear.module.out_features,
                                linear.module.in_features, linear.dtype);
      for (const auto& tensor : tensors)
        quantized_bits += static_cast<std::uint64_t>(num_elements(tensor.shape)) *
                          static_cast<std::uint64_t>(dtype_bits(tensor.dtype));
      plan_.tensors.insert(plan_.tensors.end(), tensors.begin(), tensors.end());
      plan_.quantized_parameters += linear.module.out_features * linear.module.in_features;
    };
    for (const BlockPlan& block : plan_.blocks)
      for (const RewrittenTensor& tensor : block.rewritten) rewritten_.insert(tensor.file_name);
    const std::string stale_head = plan_.unties_head ? "lm_head.weight" : "";
    for (const auto& tensor : checkpoint_.tensors()) {
      plan_.bytes_in += tensor.num_bytes;
      if (const auto linear = linear_of_tensor.find(tensor.name); linear != linear_of_tensor.end()) {
        add_quantized(plan_.linears[linear->second]);
      } else if (const auto inside = linears_inside.find(tensor.name); inside != linears_inside.end()) {
        for (const std::size_t i : inside->second) add_quantized(plan_.linears[i]);
        cut_the_rest(tensor);
      } else if (is_bias_of(tensor.name, linears_inside)) {
        cut_the_rest(tensor);
      } else if (stale_head.empty() || !tensor.name.ends_with(stale_head)) {
        plan_.tensors.push_back({tensor.name, tensor.dtype, tensor.shape});
        if (!rewritten_.contains(tensor.name)) plan_.copied.push_back(tensor.name);
      }
    }
    for (const LinearPlan& linear : plan_.linears) {
      if (is_tied_head(linear.module)) add_quantized(linear);
    }
    for (const BlockPlan& block : plan_.blocks) {
      const auto tensors = plan_.cache_tensors(block, *writer_);
      plan_.tensors.insert(plan_.tensors.end(), tensors.begin(), tensors.end());
    }
    for (const auto& tensor : plan_.tensors)
      plan_.bytes_out += static_cast<std::uint64_t>(num_elements(tensor.shape)) *
                         static_cast<std::uint64_t>(dtype_bits(tensor.dtype)) / 8;
    plan_.bits_per_weight = static_cast<double>(quantized_bits) /
                            static_cast<double>(std::max<std::int64_t>(plan_.quantized_parameters, 1));
  }

  // The biases of experts that are taken apart.
  static bool is_bias_of(const std::string& name,
                         const std::map<std::string, std::vector<std::size_t>>& linears_inside) {
    constexpr std::string_view kBias = "_bias";
    return name.ends_with(kBias) && linears_inside.contains(name.substr(0, name.size() - kBias.size()));
  }

  // What is not quantized of a tensor that is taken apart gets the names that single experts have.
  void cut_the_rest(const checkpoint::TensorInfo& tensor) {
    std::set<std::string> quantized;
    for (const LinearPlan& linear : plan_.linears)
      if (linear.source_tensor == tensor.name) quantized.insert(linear.module.path + ".weight");
    for (const auto& [name, part] : parts_) {
      if (files_.at(part.whole) != tensor.name || quantized.contains(name)) continue;
      const std::string in_file = models::part_name(part, name, tensor.name);
      Shape shape = {part.count};
      if (part.whole_shape.size() == 3) shape.push_back(part.inputs());
      plan_.tensors.push_back({in_file, tensor.dtype, shape});
      if (!rewritten_.contains(in_file)) plan_.cut.push_back({in_file, tensor.name, part});
    }
  }

  void describe() {
    std::set<std::string> schemes, methods;
    for (const LinearPlan& linear : plan_.linears) {
      scheme::Scheme plain = linear.scheme;
      plain.weights->actorder = scheme::ActivationOrder::kNone;
      schemes.insert(scheme::describe(plain));
      methods.insert(linear.pairs_inputs() ? "gptaq" : std::string(method_name(linear.method)));
    }
    plan_.scheme_name = schemes.empty() ? "KV cache" : schemes.size() == 1 ? *schemes.begin() : "mixed";
    plan_.method = methods.empty() ? "calibration" : methods.size() == 1 ? *methods.begin() : "mixed";
    for (auto transform = plan_.recipe.transforms.rbegin(); transform != plan_.recipe.transforms.rend();
         ++transform)
      plan_.method = fmt::format("{}+{}", transform_name(transform->kind), plan_.method);
    describe_quantization(plan_);
    writer_->quantization_config(plan_.quantization);  // throws for mixtures that the format has no words for
  }

  const checkpoint::Checkpoint& checkpoint_;
  std::unique_ptr<formats::WeightWriter> writer_;
  std::vector<models::ModuleInfo> modules_;
  std::map<std::string, std::string> files_;
  models::TensorParts parts_;        // of experts that lie together
  std::set<std::string> rewritten_;  // tensors that blocks write, as the result spells them
  QuantizePlan plan_;
};

}  // namespace

bool QuantizePlan::quantizes_sounds() const {
  return std::any_of(blocks.begin(), blocks.end(), [](const BlockPlan& block) { return block.is_audio; });
}

bool QuantizePlan::follows_quantized() const {
  return quantization.kv_cache_scheme || std::any_of(linears.begin(), linears.end(), [](const auto& linear) {
           return linear.method == Method::kGptq || linear.has_static_input();
         });
}

bool QuantizePlan::folds() const {
  return std::any_of(blocks.begin(), blocks.end(), [](const auto& block) { return !block.folds.empty(); });
}

bool QuantizePlan::pairs_inputs() const {
  return std::any_of(linears.begin(), linears.end(),
                     [](const auto& linear) { return linear.pairs_inputs(); });
}

std::vector<checkpoint::TensorPlan> QuantizePlan::cache_tensors(const BlockPlan& block,
                                                                const formats::WeightWriter& writer) const {
  if (block.attention.empty()) return {};
  const nn::BlockSpec& declared = spec->decoder.blocks[static_cast<std::size_t>(block.index)];
  return writer.plan_cache(block.file_attention, *quantization.kv_cache_scheme,
                           declared.attention.num_key_value_heads, block.dtype);
}

QuantizePlan make_plan(const checkpoint::Checkpoint& checkpoint, const Json& config,
                       std::optional<nn::ModelSpec> spec, Recipe recipe, const PlanOptions& options) {
  FARTHING_REQUIRE(
      !config.contains("quantization_config"), Code::kUnsupported, "the checkpoint is quantized already",
      {{"folder", checkpoint.directory().string()}},
      "start from the original 16-bit checkpoint, or from what farthing convert --dequantize makes");
  return Planner(checkpoint, std::move(spec), std::move(recipe), options).make();
}

}  // namespace farthing::plan
