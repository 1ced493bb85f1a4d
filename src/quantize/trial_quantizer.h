// Linears quantized for a trial, by the method of a plan but with any scheme, on what the original model
// shows them: what a mixture of schemes is chosen by.
#pragma once

#include <map>
#include <memory>

#include "quantize/calibrated_model.h"
#include "quantize/linear_quantizer.h"

namespace farthing::quantize {

class TrialQuantizer {
 public:
  /// `plan`, `source` and `calibration` stay with the caller.
  TrialQuantizer(const plan::QuantizePlan& plan, std::shared_ptr<const checkpoint::Checkpoint> source,
                 const calibrate::CalibrationSet& calibration, ThreadPool& pool, Reporter& reporter,
                 const CancelToken& cancel);

  /// Returns the linear at `path` under `scheme`. One block is resident, so that paths should come block by
  /// block; an earlier block starts a new walk.
  QuantizedMatrix quantize(const std::string& path, const scheme::Scheme& scheme, const Tensor& weight);

 private:
  void go_to(const plan::BlockPlan& block);

  const plan::QuantizePlan& plan_;
  std::shared_ptr<const checkpoint::Checkpoint> source_;
  const calibrate::CalibrationSet& calibration_;
  ThreadPool& pool_;
  Reporter& reporter_;
  const CancelToken& cancel_;
  std::map<std::string, const plan::LinearPlan*> linears_;  // by path
  std::map<std::int64_t, const plan::BlockPlan*> blocks_;   // those with a linear that is calibrated
  std::unique_ptr<CalibratedModel> model_;                  // where the method needs one
  std::unique_ptr<calibrate::HessianCollector> hessians_;   // of the block that the model is in
  std::unique_ptr<LinearQuantizer> quantizer_;
  std::int64_t at_ = -1;
};

}  // namespace farthing::quantize
