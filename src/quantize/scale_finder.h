// Finds the scales of one transform in one block: listens while the original samples run through it, then
// answers for every fold.
#pragma once

#include <memory>

#include "plan/quantize_plan.h"
#include "quantize/calibrated_model.h"

namespace farthing::quantize {

struct FoundScale {
  std::vector<float> scale;                        // empty where no token came by
  std::optional<methods::AwqCandidate> candidate;  // AWQ: which one won
  double loss = 0, unscaled_loss = 0;              // AWQ: its loss, and that of plain rounding
};

class ScaleFinder {
 public:
  virtual ~ScaleFinder() = default;

  /// Who has to hear the samples; valid as long as the finder.
  virtual std::vector<calibrate::Listener*> listeners() = 0;

  /// The scale of one fold of the block, whose weights are still those of the file.
  virtual FoundScale find(const plan::FoldPlan& fold) = 0;

  /// Last changes of the weights after all folds, before they are quantized.
  virtual void finish() {}
};

std::unique_ptr<ScaleFinder> make_smoothquant_finder(const plan::QuantizePlan& plan,
                                                     const plan::BlockPlan& block, std::size_t transform,
                                                     CalibratedModel& model, ThreadPool& pool);
std::unique_ptr<ScaleFinder> make_awq_finder(const plan::QuantizePlan& plan, const plan::BlockPlan& block,
                                             std::size_t transform, CalibratedModel& model, ThreadPool& pool);

/// Where a fold listens: the first linear that reads the scaled channels. Of a mixture this is the router,
/// which sees every token.
inline const std::string& listening_place(const plan::FoldPlan& fold) {
  return fold.pair.balance.front();
}

}  // namespace farthing::quantize
