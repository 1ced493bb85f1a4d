#include "quantize/trial_quantizer.h"

#include "base/error.h"

namespace farthing::quantize {

TrialQuantizer::TrialQuantizer(const plan::QuantizePlan& plan,
                               std::shared_ptr<const checkpoint::Checkpoint> source,
                               const calibrate::CalibrationSet& calibration, ThreadPool& pool,
                               Reporter& reporter, const CancelToken& cancel)
    : plan_(plan),
      source_(std::move(source)),
      calibration_(calibration),
      pool_(pool),
      reporter_(reporter),
      cancel_(cancel),
      quantizer_(std::make_unique<LinearQuantizer>(nullptr, pool)) {
  for (const plan::LinearPlan& linear : plan.linears) linears_.emplace(linear.module.path, &linear);
  for (const plan::BlockPlan& block : plan.blocks) {
    if (block.is_audio) continue;  // the walk is that of the decoder
    for (const plan::Step& step : block.steps)
      for (const std::size_t index : step.linears)
        if (plan.linears[index].method == plan::Method::kGptq) blocks_[block.index] = &block;
  }
}

QuantizedMatrix TrialQuantizer::quantize(const std::string& path, const scheme::Scheme& scheme,
                                         const Tensor& weight) {
  plan::LinearPlan linear = *linears_.at(path);
  linear.scheme = scheme;
  linear.gptq.gptaq_alpha = 0;  // both models are the same one here
  if (linear.method == plan::Method::kGptq) go_to(*blocks_.at(linear.module.block));
  return quantizer_->quantize(linear, weight).weight;
}

void TrialQuantizer::go_to(const plan::BlockPlan& block) {
  if (model_ && at_ == block.index) return;
  if (!model_ || block.index < at_) {
    model_.reset();
    model_ = std::make_unique<CalibratedModel>(*plan_.spec, source_, calibration_, Streams{}, pool_,
                                               reporter_, cancel_);
  } else {
    model_->leave(false);
  }
  at_ = block.index;
  quantizer_.reset();
  hessians_.reset();
  std::set<std::string> paths;
  for (const plan::Step& step : block.steps)
    for (const std::size_t index : step.linears) paths.insert(plan_.linears[index].module.path);
  hessians_ =
      std::make_unique<calibrate::HessianCollector>(std::move(paths), calibration_.samples.size(), pool_);
  quantizer_ = std::make_unique<LinearQuantizer>(hessians_.get(), pool_);
  model_->enter(block);
  calibrate::Listener* listener = hessians_.get();
  model_->run_samples({&listener, 1});
}

}  // namespace farthing::quantize
