#include "quantize/pipeline.h"

#include <chrono>

#include "base/error.h"
#include "base/sha256.h"
#include "base/system.h"
#include "calibrate/original_inputs.h"
#include "calibrate/range_collector.h"
#include "calibrate/routing_collector.h"
#include "checkpoint/staging.h"
#include "plan/transform_recipe.h"
#include "quantize/block_folder.h"
#include "quantize/calibrated_model.h"
#include "quantize/finish.h"
#include "quantize/journal.h"
#include "quantize/linear_quantizer.h"
#include "scheme/observer.h"
#include "scheme/quantizer.h"

namespace farthing::quantize {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// "block 16  mlp.down_proj  err 0.0121  sqnr 38.2 dB  0.8 s": the worst linear stands for its block.
std::string block_line(const plan::BlockPlan& block, std::span<const plan::LayerResult> layers,
                       double seconds) {
  const auto worst = std::max_element(layers.begin(), layers.end(), [](const auto& a, const auto& b) {
    return a.relative_error < b.relative_error;
  });
  const std::string prefix = block.path + ".";
  const std::string name = worst->name.starts_with(prefix) ? worst->name.substr(prefix.size()) : worst->name;
  return fmt::format("{}  {}  err {:.4f}  sqnr {:.1f} dB  {:.1f} s",
                     block.index >= 0 ? fmt::format("block {}", block.index) : "outside", name,
                     worst->relative_error, worst->sqnr_db, seconds);
}

// One run of a plan. Members live as long as the run; the order of the verbs below is the order of the work.
class Run {
 public:
  Run(const plan::QuantizePlan& plan, std::shared_ptr<const checkpoint::Checkpoint> source,
      const calibrate::CalibrationSet* calibration, const RunOptions& options, ThreadPool& pool,
      Reporter& reporter, const CancelToken& cancel)
      : plan_(plan),
        source_(std::move(source)),
        calibration_(calibration),
        pool_(pool),
        reporter_(reporter),
        cancel_(cancel),
        expert_inputs_(options.calibrates_all_experts ? ExpertInputs::kAll : ExpertInputs::kRouted),
        add_reports_(options.add_reports),
        staged_(options.output, {.overwrite = options.overwrite, .resume = options.resume}),
        journal_(staged_.path(), fingerprint()),
        encoder_(formats::writer_for(plan.format)),
        writer_(staged_.path(), plan.tensors, {.resume = staged_.resumed()}) {}

  plan::QuantizeResult execute() {
    const auto start = Clock::now();
    reopen_finished_blocks();
    if (plan_.needs_calibration) {
      FARTHING_CHECK(calibration_ != nullptr && plan_.spec);
      model_ = std::make_unique<CalibratedModel>(*plan_.spec, source_, *calibration_, streams(), pool_,
                                                 reporter_, cancel_);
    }
    for (std::size_t b = 0; b < plan_.blocks.size(); ++b) {
      cancel_.check();
      quantize_block(plan_.blocks[b], b + 1 == plan_.blocks.size());
      report_progress(b + 1);
    }
    model_.reset();
    copy_the_rest();
    writer_.finish();
    check_written_weights();
    finish_directory(plan_, *source_, staged_.path());
    write_tokenizer(*source_, staged_.path(), reporter_);
    plan::QuantizeResult result = describe();
    result.seconds = seconds_since(start);
    if (add_reports_) add_reports_(result, staged_.path());
    journal_.remove();
    staged_.commit();
    return result;
  }

 private:
  // What the bytes of the result depend on. A journal with another fingerprint belongs to another run.
  std::string fingerprint() const {
    Sha256 hash;
    hash.update("farthing quantize 3\n");
    hash.update(plan_.format + "\n");
    add_source(*source_, hash);
    for (const auto& linear : plan_.linears) {
      hash.update(
          fmt::format("{} {} {} {} {} {} {} {} {}\n", linear.file_module, plan::method_name(linear.method),
                      scheme::to_json({.name = "", .targets = {}, .scheme = linear.scheme}).dump(),
                      linear.gptq.block_size, linear.gptq.dampening_frac, linear.gptq.refine_passes,
                      linear.gptq.group_aware_order, linear.gptq.refresh_scales, linear.gptq.gptaq_alpha));
    }
    for (const plan::Transform& transform : plan_.recipe.transforms)
      hash.update(plan::recipe_lines(transform, ""));
    for (const auto& block : plan_.blocks) {
      for (const auto& fold : block.folds)
        hash.update(fmt::format("{} {} {}\n", fold.pair.smooth, fmt::join(fold.pair.balance, " "),
                                fmt::join(fold.measured, " ")));
      for (const auto& step : block.steps)
        hash.update(fmt::format("{} {}\n", block.path, fmt::join(step.linears, " ")));
    }
    if (plan_.quantization.kv_cache_scheme)
      hash.update(scheme::to_json(*plan_.quantization.kv_cache_scheme).dump() + "\n");
    if (expert_inputs_ == ExpertInputs::kAll) hash.update("all experts\n");
    if (calibration_ != nullptr && plan_.needs_calibration) add_samples(*calibration_, hash);
    return hash.finish();
  }

  Streams streams() const {
    const bool paired = plan_.pairs_inputs();
    return {.quantized = plan_.follows_quantized(),
            .original = plan_.folds() || paired,
            .paired = paired,
            .sounds = plan_.quantizes_sounds()};
  }

  // Blocks that an earlier run finished: their tensors are in the staged files already.
  void reopen_finished_blocks() {
    if (journal_.empty()) return;
    std::int64_t finished = 0;
    for (const plan::BlockPlan& block : plan_.blocks) {
      if (journal_.find(block.path) == nullptr) continue;
      for (const plan::Step& step : block.steps) {
        for (const std::size_t index : step.linears) {
          for (const auto& tensor : tensors_of(plan_.linears[index])) writer_.mark_written(tensor.name);
        }
      }
      for (const auto& tensor : plan_.cache_tensors(block, *encoder_)) writer_.mark_written(tensor.name);
      for (const plan::RewrittenTensor& tensor : block.rewritten) writer_.mark_written(tensor.file_name);
      ++finished;
    }
    resumed_blocks_ = finished;
    reporter_.note(
        fmt::format("resuming     {} of {} blocks were finished before", finished, plan_.blocks.size()));
    Json config = source_->config();
    config["quantization_config"] = encoder_->quantization_config(plan_.quantization);
    staged_checkpoint_ =
        std::make_unique<checkpoint::Checkpoint>(checkpoint::Checkpoint::open(staged_.path()));
    staged_reader_ = formats::detect(*staged_checkpoint_, config);
  }

  std::vector<checkpoint::TensorPlan> tensors_of(const plan::LinearPlan& linear) const {
    return encoder_->plan_tensors(linear.file_module, linear.scheme, linear.module.out_features,
                                  linear.module.in_features, linear.dtype);
  }

  void quantize_block(const plan::BlockPlan& block, bool is_last) {
    if (const Json* facts = journal_.find(block.path)) {
      for (const Json& layer : facts->at("layers")) layers_.push_back(layer_from_json(layer));
      for (const auto& [path, tokens] : facts->at("experts").items())
        expert_tokens_.push_back({path, tokens});
      for (const Json& fold : facts->at("folds")) folds_.push_back(plan::FoldResult::from_json(fold));
      if (model_) {
        model_->enter(block);
        if (model_->has_original() && !block.is_audio) model_->run_original({});
        restore(block);
        model_->leave(is_last);
      }
      return;
    }
    const auto start = Clock::now();
    std::vector<plan::LayerResult> layers;
    if (model_) model_->enter(block);
    calibrate::RoutingCollector routing;
    const std::vector<plan::FoldResult> folds = fold_block(block, routing);
    std::unique_ptr<calibrate::RangeCollector> ranges = range_collector(block);
    for (const plan::Step& step : block.steps)
      quantize_step(step, *ranges, &step == &block.steps.front() ? &routing : nullptr, layers);
    if (!block.attention.empty()) quantize_cache(block, *ranges);
    if (model_) model_->leave(is_last);
    writer_.sync();
    Json facts = {{"layers", Json::array()}, {"folds", Json::array()}, {"experts", Json::object()}};
    for (const plan::LayerResult& layer : layers) facts["layers"].push_back(to_json(layer));
    for (const auto& [path, tokens] : routing.tokens()) {
      facts["experts"][path] = tokens;
      expert_tokens_.push_back({path, tokens});
    }
    for (const plan::FoldResult& fold : folds) facts["folds"].push_back(fold.to_json());
    journal_.note(block.path, std::move(facts));
    if (!layers.empty()) reporter_.finished(block_line(block, layers, seconds_since(start)));
    layers_.insert(layers_.end(), layers.begin(), layers.end());
    folds_.insert(folds_.end(), folds.begin(), folds.end());
  }

  // Moves the block's scales, and writes what they change beside the weights that are quantized.
  // Experts' tokens are counted once: here, unless samples run through quantized blocks too.
  std::vector<plan::FoldResult> fold_block(const plan::BlockPlan& block,
                                           calibrate::RoutingCollector& routing) {
    if (!model_ || !plan_.folds() || block.index < 0 || block.is_audio) return {};
    std::vector<plan::FoldResult> folds;
    BlockFolder folder(plan_, *model_, pool_);
    for (FoldedScale& folded :
         folder.fold(block, expert_inputs_, plan_.follows_quantized() ? nullptr : &routing, deviations_))
      folds.push_back(std::move(folded.result));
    const models::FoldedSource& weights = model_->weights();
    for (const plan::RewrittenTensor& tensor : block.rewritten) {
      const Tensor value = tensor.linear.empty() ? weights.tensor(tensor.name)
                                                 : std::get<Tensor>(weights.linear_weight(tensor.linear));
      writer_.write(tensor.file_name, tensor.transposed ? transpose(value) : value);
    }
    return folds;
  }

  // The block as an earlier run left it.
  void restore(const plan::BlockPlan& block) {
    using scheme::ActivationSite;
    for (const plan::RewrittenTensor& tensor : block.rewritten) {
      const Tensor value = staged_checkpoint_->read(tensor.file_name);
      model_->weights().set(tensor.name, tensor.transposed ? transpose(value) : value);
    }
    if (!block.rewritten.empty()) model_->reload();
    for (const plan::Step& step : block.steps) {
      for (const std::size_t index : step.linears) {
        const plan::LinearPlan& linear = plan_.linears[index];
        model_->set_weight(linear.module.path, staged_reader_->read(linear.file_module),
                           staged_reader_->activation(linear.file_module, ActivationSite::kInput));
      }
    }
    if (block.attention.empty()) return;
    const auto keys = staged_reader_->activation(block.file_attention, ActivationSite::kKeys),
               values = staged_reader_->activation(block.file_attention, ActivationSite::kValues);
    if (keys && values) model_->set_cache_quantization(*keys, *values);
  }

  std::unique_ptr<calibrate::RangeCollector> range_collector(const plan::BlockPlan& block) const {
    std::map<std::string, scheme::QuantizationArgs> inputs, caches;
    for (const plan::Step& step : block.steps) {
      for (const std::size_t index : step.linears) {
        const plan::LinearPlan& linear = plan_.linears[index];
        if (linear.has_static_input()) inputs.emplace(linear.module.path, *linear.scheme.input_activations);
      }
    }
    if (!block.attention.empty()) caches.emplace(block.attention, *plan_.quantization.kv_cache_scheme);
    return std::make_unique<calibrate::RangeCollector>(std::move(inputs), std::move(caches));
  }

  void quantize_step(const plan::Step& step, calibrate::RangeCollector& ranges,
                     calibrate::RoutingCollector* routing, std::vector<plan::LayerResult>& layers) {
    std::set<std::string> calibrated;
    bool has_static_input = false, paired = false;
    for (const std::size_t index : step.linears) {
      const plan::LinearPlan& linear = plan_.linears[index];
      if (linear.method == plan::Method::kGptq) calibrated.insert(linear.module.path);
      has_static_input = has_static_input || linear.has_static_input();
      paired = paired || (linear.pairs_inputs() && model_->pairs_inputs());
    }
    calibrate::OriginalInputs original(calibrated);
    std::unique_ptr<calibrate::HessianCollector> hessians;
    if (!calibrated.empty()) {
      hessians = std::make_unique<calibrate::HessianCollector>(calibrated, model_->num_samples(), pool_,
                                                               paired ? &original : nullptr);
    }
    if (hessians || has_static_input) {
      std::vector<calibrate::Listener*> listeners = {&ranges};
      if (hessians) listeners.push_back(hessians.get());
      if (routing != nullptr) listeners.push_back(routing);
      model_->run_samples(listeners, expert_inputs_, paired ? &original : nullptr);
      observe_unrouted_experts(step, ranges);
    }
    const std::map<std::string, float> global_scales = shared_global_scales(step);
    LinearQuantizer quantizer(hessians.get(), pool_);
    for (const std::size_t index : step.linears) {
      cancel_.check();
      const plan::LinearPlan& linear = plan_.linears[index];
      const auto global_scale = global_scales.find(linear.module.input_group);
      QuantizedLinear done = quantizer.quantize(
          linear, weight_of(linear),
          global_scale != global_scales.end() ? std::optional(global_scale->second) : std::nullopt);
      done.result.file_mse = model_ && model_->weights().is_changed(linear.module.path + ".weight")
                                 ? scheme::measure_error(read_weight(linear), done.weight, pool_).mse
                                 : done.result.mse;
      write(encoder_->encode(linear.file_module, linear.scheme, done.weight, pool_));
      const auto input = input_quantization(linear, ranges);
      if (input && linear.has_static_input()) {
        write(encoder_->encode_activation(linear.file_module, scheme::ActivationSite::kInput, *input,
                                          linear.dtype));
      }
      if (model_) model_->set_weight(linear.module.path, done.weight, input);
      for (std::string& what : done.deviations) deviations_.push_back({linear.module.path, std::move(what)});
      layers.push_back(std::move(done.result));
      source_->release(linear.source_tensor);
    }
  }

  // An expert that the router never chose still needs fixed scales for what enters it: they are taken from
  // all tokens.
  void observe_unrouted_experts(const plan::Step& step, calibrate::RangeCollector& ranges) {
    std::map<std::string, scheme::QuantizationArgs> unseen;
    for (const std::size_t index : step.linears) {
      const plan::LinearPlan& linear = plan_.linears[index];
      if (!linear.has_static_input() || ranges.has_input(linear.module.path)) continue;
      unseen.emplace(linear.module.path, *linear.scheme.input_activations);
      deviations_.push_back(
          {linear.module.path, "no calibration token reached it, so its input scale is that of all tokens"});
    }
    if (unseen.empty()) return;
    calibrate::RangeCollector all(std::move(unseen), {});
    calibrate::Listener* listener = &all;
    model_->run_samples({&listener, 1}, ExpertInputs::kAll);
    ranges.take_inputs(all);
  }

  void write(const std::vector<std::pair<std::string, Tensor>>& tensors) {
    for (const auto& [name, tensor] : tensors) writer_.write(name, tensor);
  }

  // Linears that read the same input are fused by runtimes, and then share the smallest factor of NVFP4.
  std::map<std::string, float> shared_global_scales(const plan::Step& step) const {
    std::map<std::string, float> shared;
    for (const std::size_t index : step.linears) {
      const plan::LinearPlan& linear = plan_.linears[index];
      if (linear.scheme.weights->strategy != scheme::Strategy::kTensorGroup) continue;
      const float own = scheme::global_scale_of(weight_of(linear), pool_);
      const auto [entry, is_new] = shared.try_emplace(linear.module.input_group, own);
      if (!is_new) entry->second = std::min(entry->second, own);
    }
    return shared;
  }

  static std::optional<scheme::ActivationQuantization> input_quantization(
      const plan::LinearPlan& linear, const calibrate::RangeCollector& ranges) {
    if (!linear.scheme.input_activations) return {};
    if (linear.has_static_input()) return ranges.input(linear.module.path, linear.dtype);
    return scheme::ActivationQuantization{.args = *linear.scheme.input_activations};
  }

  void quantize_cache(const plan::BlockPlan& block, calibrate::RangeCollector& ranges) {
    calibrate::Listener* listener = &ranges;
    if (!ranges.has_cache(block.attention)) model_->run_samples({&listener, 1});
    const auto keys = ranges.keys(block.attention, block.dtype),
               values = ranges.values(block.attention, block.dtype);
    write(
        encoder_->encode_activation(block.file_attention, scheme::ActivationSite::kKeys, keys, block.dtype));
    write(encoder_->encode_activation(block.file_attention, scheme::ActivationSite::kValues, values,
                                      block.dtype));
    model_->set_cache_quantization(keys, values);
  }

  // What the linear is quantized from: the file's weight, with the scales that moved.
  Tensor weight_of(const plan::LinearPlan& linear) const {
    const bool changed = model_ && model_->weights().is_changed(linear.module.path + ".weight");
    if (!changed) return read_weight(linear);
    return std::get<Tensor>(model_->weights().linear_weight(linear.module.path));
  }

  Tensor read_weight(const plan::LinearPlan& linear) const {
    const Tensor whole = source_->read(linear.source_tensor);
    const Tensor stored = linear.part ? models::take_part(whole, *linear.part) : whole;
    const Tensor weight = linear.transposed ? transpose(stored) : stored;
    return weight.dtype() == DType::kF64 ? to_float32(weight) : weight;
  }

  void copy_the_rest() {
    for (const std::string& name : plan_.copied) {
      cancel_.check();
      writer_.write_stream(name, [&](const checkpoint::ByteSink& sink) { source_->stream(name, sink); });
    }
    for (const plan::CutTensor& tensor : plan_.cut) {
      cancel_.check();
      writer_.write(tensor.name, models::take_part(source_->read(tensor.source_tensor), tensor.part));
    }
  }

  // Opens what was written as any user would and compares it with the source: a wrong spelling or packing
  // shows here, not at the user's.
  void check_written_weights() const {
    Json config = source_->config();
    config["quantization_config"] = encoder_->quantization_config(plan_.quantization);
    const checkpoint::Checkpoint written = checkpoint::Checkpoint::open(staged_.path());
    const auto reader = formats::detect(written, config);
    std::set<std::size_t> some;
    if (const std::size_t count = plan_.linears.size(); count > 0) some = {0, count / 2, count - 1};
    for (const std::size_t index : some) {
      const plan::LinearPlan& linear = plan_.linears[index];
      FARTHING_REQUIRE(reader->is_quantized(linear.file_module), Code::kVerification,
                       "a quantized weight cannot be found again in the result",
                       {{"module", linear.file_module}});
      const double mse =
          scheme::measure_error(read_weight(linear), reader->read(linear.file_module), pool_).mse;
      const auto layer = std::find_if(layers_.begin(), layers_.end(),
                                      [&](const auto& result) { return result.name == linear.module.path; });
      FARTHING_REQUIRE(
          layer != layers_.end() && std::abs(mse - layer->file_mse) <= 1e-6 * layer->file_mse + 1e-30,
          Code::kVerification, "a weight reads back differently from what was written",
          {{"module", linear.file_module},
           {"error", mse},
           {"expected", layer == layers_.end() ? -1.0 : layer->file_mse}});
      source_->release(linear.source_tensor);
    }
  }

  void report_progress(std::size_t done) {
    const plan::BlockPlan& block = plan_.blocks[done - 1];
    reporter_.progress({.stage = "quantize",
                        .fraction = static_cast<double>(done) / static_cast<double>(plan_.blocks.size()),
                        .done = static_cast<std::int64_t>(done),
                        .total = static_cast<std::int64_t>(plan_.blocks.size()),
                        .detail = block.path});
  }

  plan::QuantizeResult describe() const {
    plan::QuantizeResult result{.model = plan_.model_name,
                                .scheme = plan_.scheme_name,
                                .method = plan_.method,
                                .format = plan_.format,
                                .bits_per_weight = plan_.bits_per_weight,
                                .bytes_in = plan_.bytes_in,
                                .bytes_out = plan_.bytes_out,
                                .peak_host_bytes = peak_resident_bytes(),
                                .layers = layers_,
                                .folds = folds_,
                                .ignored = plan_.ignored,
                                .resumed_blocks = resumed_blocks_};
    if (calibration_ != nullptr && plan_.needs_calibration) {
      result.calibration_samples = calibration_->ledger.samples;
      result.calibration_tokens = calibration_->ledger.tokens;
      result.calibration = calibration_->ledger.to_json();
      if (!expert_tokens_.empty()) {
        result.calibration["all_experts"] = expert_inputs_ == ExpertInputs::kAll;
        for (const plan::ExpertTokens& experts : expert_tokens_)
          result.calibration["experts"][experts.path] = experts.tokens;
      }
      result.experts = expert_tokens_;
    }
    for (const plan::Deviation& deviation : plan_.deviations)
      result.deviations.emplace_back(deviation.module, deviation.what);
    for (const plan::Deviation& deviation : deviations_)
      result.deviations.emplace_back(deviation.module, deviation.what);
    result.recipe = recipe_text(plan_);
    result.output = staged_.final_path().string();
    result.sha256 = sha256_of_weights(staged_.path());
    return result;
  }

  const plan::QuantizePlan& plan_;
  std::shared_ptr<const checkpoint::Checkpoint> source_;
  const calibrate::CalibrationSet* calibration_;
  ThreadPool& pool_;
  Reporter& reporter_;
  const CancelToken& cancel_;
  ExpertInputs expert_inputs_;
  std::function<void(plan::QuantizeResult&, const std::filesystem::path&)> add_reports_;
  checkpoint::StagedDirectory staged_;
  Journal journal_;
  std::unique_ptr<formats::WeightWriter> encoder_;
  checkpoint::CheckpointWriter writer_;
  std::unique_ptr<CalibratedModel> model_;
  std::unique_ptr<checkpoint::Checkpoint> staged_checkpoint_;  // of an earlier run
  std::unique_ptr<formats::WeightReader> staged_reader_;
  std::vector<plan::LayerResult> layers_;
  std::vector<plan::ExpertTokens> expert_tokens_;
  std::vector<plan::FoldResult> folds_;
  std::vector<plan::Deviation> deviations_;
  std::int64_t resumed_blocks_ = 0;
};

}  // namespace

plan::QuantizeResult run(const plan::QuantizePlan& plan,
                         const std::shared_ptr<const checkpoint::Checkpoint>& source,
                         const calibrate::CalibrationSet* calibration, const RunOptions& options,
                         ThreadPool& pool, Reporter& reporter, const CancelToken& cancel) {
  return Run(plan, source, calibration, options, pool, reporter, cancel).execute();
}

}  // namespace farthing::quantize
