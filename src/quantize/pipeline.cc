#include "quantize/pipeline.h"

#include <chrono>

#include "base/error.h"
#include "base/sha256.h"
#include "base/system.h"
#include "checkpoint/staging.h"
#include "quantize/calibrated_model.h"
#include "quantize/finish.h"
#include "quantize/journal.h"
#include "quantize/linear_quantizer.h"
#include "scheme/quantizer.h"

namespace farthing::quantize {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Json to_json(const plan::LayerResult& layer) {
  return {{"name", layer.name},
          {"method", layer.method},
          {"scheme", layer.scheme},
          {"mse", layer.mse},
          {"relative_error", layer.relative_error},
          {"sqnr_db", layer.sqnr_db},
          {"seconds", layer.seconds},
          {"dampening", layer.dampening}};
}

plan::LayerResult layer_from_json(const Json& json) {
  return {.name = json.at("name"),
          .method = json.at("method"),
          .scheme = json.at("scheme"),
          .mse = json.at("mse"),
          .relative_error = json.at("relative_error"),
          .sqnr_db = json.at("sqnr_db"),
          .seconds = json.at("seconds"),
          .dampening = json.at("dampening")};
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
      model_ =
          std::make_unique<CalibratedModel>(*plan_.spec, source_, *calibration_, pool_, reporter_, cancel_);
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
    hash.update("farthing quantize 1\n");
    hash.update(plan_.format + "\n");
    for (const auto& tensor : source_->tensors()) {
      hash.update(fmt::format("{} {} {} {} {}\n", tensor.name, dtype_name(tensor.dtype),
                              to_string(tensor.shape), tensor.file.filename().string(), tensor.offset));
    }
    for (const auto& linear : plan_.linears) {
      hash.update(fmt::format("{} {} {} {} {}\n", linear.file_module, plan::method_name(linear.method),
                              scheme::to_json(*linear.scheme.weights).dump(), linear.gptq.block_size,
                              linear.gptq.dampening_frac));
    }
    for (const auto& block : plan_.blocks) {
      for (const auto& step : block.steps)
        hash.update(fmt::format("{} {}\n", block.path, fmt::join(step.linears, " ")));
    }
    if (calibration_ != nullptr && plan_.needs_calibration) {
      for (const auto& sample : calibration_->samples) {
        hash.update(std::as_bytes(std::span(sample.prompt.ids)));
        for (const auto& [name, tensor] : sample.prompt.pictures) hash.update(tensor.bytes());
      }
    }
    return hash.finish();
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
      if (model_) {
        model_->enter(block);
        for (const plan::Step& step : block.steps) {
          for (const std::size_t index : step.linears)
            model_->set_weight(plan_.linears[index].module.path,
                               staged_reader_->read(plan_.linears[index].file_module));
        }
        model_->leave(is_last);
      }
      return;
    }
    const auto start = Clock::now();
    std::vector<plan::LayerResult> layers;
    if (model_) model_->enter(block);
    for (const plan::Step& step : block.steps) quantize_step(step, layers);
    if (model_) model_->leave(is_last);
    writer_.sync();
    Json facts = {{"layers", Json::array()}};
    for (const plan::LayerResult& layer : layers) facts["layers"].push_back(to_json(layer));
    journal_.note(block.path, std::move(facts));
    reporter_.finished(block_line(block, layers, seconds_since(start)));
    layers_.insert(layers_.end(), layers.begin(), layers.end());
  }

  void quantize_step(const plan::Step& step, std::vector<plan::LayerResult>& layers) {
    std::set<std::string> calibrated;
    for (const std::size_t index : step.linears) {
      if (plan_.linears[index].method == plan::Method::kGptq)
        calibrated.insert(plan_.linears[index].module.path);
    }
    std::unique_ptr<calibrate::HessianCollector> collector;
    if (!calibrated.empty()) collector = model_->collect(calibrated);
    LinearQuantizer quantizer(collector.get(), pool_);
    for (const std::size_t index : step.linears) {
      cancel_.check();
      const plan::LinearPlan& linear = plan_.linears[index];
      QuantizedLinear done = quantizer.quantize(linear, read_weight(linear));
      for (const auto& [name, tensor] :
           encoder_->encode(linear.file_module, linear.scheme, done.weight, pool_))
        writer_.write(name, tensor);
      if (model_) model_->set_weight(linear.module.path, done.weight);
      for (std::string& what : done.deviations) deviations_.push_back({linear.module.path, std::move(what)});
      layers.push_back(std::move(done.result));
      source_->release(linear.source_tensor);
    }
  }

  Tensor read_weight(const plan::LinearPlan& linear) const {
    const Tensor stored = source_->read(linear.source_tensor);
    const Tensor weight = linear.transposed ? transpose(stored) : stored;
    return weight.dtype() == DType::kF64 ? to_float32(weight) : weight;
  }

  void copy_the_rest() {
    for (const std::string& name : plan_.copied) {
      cancel_.check();
      writer_.write_stream(name, [&](const checkpoint::ByteSink& sink) { source_->stream(name, sink); });
    }
  }

  // Opens what was written as any user would and compares it with the source: a wrong spelling or packing
  // shows here, not at the user's.
  void check_written_weights() const {
    Json config = source_->config();
    config["quantization_config"] = encoder_->quantization_config(plan_.quantization);
    const checkpoint::Checkpoint written = checkpoint::Checkpoint::open(staged_.path());
    const auto reader = formats::detect(written, config);
    for (const std::size_t index : {std::size_t{0}, plan_.linears.size() / 2, plan_.linears.size() - 1}) {
      const plan::LinearPlan& linear = plan_.linears[index];
      FARTHING_REQUIRE(reader->is_quantized(linear.file_module), Code::kVerification,
                       "a quantized weight cannot be found again in the result",
                       {{"module", linear.file_module}});
      const double mse =
          scheme::measure_error(read_weight(linear), reader->read(linear.file_module), pool_).mse;
      const auto layer = std::find_if(layers_.begin(), layers_.end(),
                                      [&](const auto& result) { return result.name == linear.module.path; });
      FARTHING_REQUIRE(layer != layers_.end() && std::abs(mse - layer->mse) <= 1e-6 * layer->mse + 1e-30,
                       Code::kVerification, "a weight reads back differently from what was written",
                       {{"module", linear.file_module},
                        {"error", mse},
                        {"expected", layer == layers_.end() ? -1.0 : layer->mse}});
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
                                .ignored = plan_.ignored,
                                .resumed_blocks = resumed_blocks_};
    if (calibration_ != nullptr && plan_.needs_calibration) {
      result.calibration_samples = calibration_->ledger.samples;
      result.calibration_tokens = calibration_->ledger.tokens;
      result.calibration = calibration_->ledger.to_json();
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
  std::function<void(const plan::QuantizeResult&, const std::filesystem::path&)> add_reports_;
  checkpoint::StagedDirectory staged_;
  Journal journal_;
  std::unique_ptr<formats::WeightWriter> encoder_;
  checkpoint::CheckpointWriter writer_;
  std::unique_ptr<CalibratedModel> model_;
  std::unique_ptr<checkpoint::Checkpoint> staged_checkpoint_;  // of an earlier run
  std::unique_ptr<formats::WeightReader> staged_reader_;
  std::vector<plan::LayerResult> layers_;
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
