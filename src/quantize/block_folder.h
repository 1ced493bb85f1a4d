// Finds the scales that move inside one block, from what the original model's samples show there, and moves
// them in the weights that the block will be quantized from.
#pragma once

#include "plan/quantize_plan.h"
#include "plan/result.h"
#include "quantize/calibrated_model.h"

namespace farthing::quantize {

struct FoldedScale {
  const models::FoldingPair* pair;
  std::vector<float> scale;
  plan::FoldResult result;
};

class BlockFolder {
 public:
  BlockFolder(const plan::QuantizePlan& plan, CalibratedModel& model, ThreadPool& pool)
      : plan_(plan), model_(model), pool_(pool) {}

  /// Runs the original rows through the entered block, which `routing` may hear, and changes
  /// `model.weights()` by every fold of `block`. Folds for which no token came by are left out and added to
  /// `deviations`.
  std::vector<FoldedScale> fold(const plan::BlockPlan& block, ExpertInputs experts,
                                calibrate::Listener* routing, std::vector<plan::Deviation>& deviations);

 private:
  const plan::QuantizePlan& plan_;
  CalibratedModel& model_;
  ThreadPool& pool_;
};

}  // namespace farthing::quantize
