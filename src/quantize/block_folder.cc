#include "quantize/block_folder.h"

#include <algorithm>
#include <cmath>

#include "quantize/scale_finder.h"

namespace farthing::quantize {
namespace {

using plan::FoldPlan;

std::unique_ptr<ScaleFinder> make_finder(const plan::QuantizePlan& plan, const plan::BlockPlan& block,
                                         std::size_t transform, CalibratedModel& model, ThreadPool& pool) {
  switch (plan.recipe.transforms[transform].kind) {
    case plan::TransformKind::kAwq:
      return make_awq_finder(plan, block, transform, model, pool);
    case plan::TransformKind::kSmoothQuant:
      break;
  }
  return make_smoothquant_finder(plan, block, transform, model, pool);
}

bool is_usable(const std::vector<float>& scale) {
  return std::all_of(scale.begin(), scale.end(),
                     [](float value) { return std::isfinite(value) && value > 0.0f; });
}

plan::FoldResult result_of(const FoldPlan& fold, const FoundScale& found, plan::TransformKind kind) {
  const auto [smallest, largest] = std::minmax_element(found.scale.begin(), found.scale.end());
  plan::FoldResult result{.transform = std::string(plan::transform_name(kind)),
                          .smooth = fold.pair.smooth,
                          .balance = fold.pair.balance,
                          .smallest_scale = *smallest,
                          .largest_scale = *largest};
  if (found.candidate) {
    result.search = plan::FoldResult::Search{.ratio = found.candidate->ratio,
                                             .duo = found.candidate->duo,
                                             .loss = found.loss,
                                             .unscaled_loss = found.unscaled_loss};
  }
  return result;
}

}  // namespace

std::vector<FoldedScale> BlockFolder::fold(const plan::BlockPlan& block, ExpertInputs experts,
                                           calibrate::Listener* routing,
                                           std::vector<plan::Deviation>& deviations) {
  std::vector<std::unique_ptr<ScaleFinder>> finders;
  std::vector<calibrate::Listener*> listeners;
  if (routing != nullptr) listeners.push_back(routing);
  for (std::size_t t = 0; t < plan_.recipe.transforms.size(); ++t) {
    finders.push_back(make_finder(plan_, block, t, model_, pool_));
    for (calibrate::Listener* listener : finders.back()->listeners()) listeners.push_back(listener);
  }
  model_.run_original(listeners, experts);

  std::vector<FoldedScale> done;
  for (const FoldPlan& fold : block.folds) {
    FoundScale found = finders[fold.transform]->find(fold);
    if (found.scale.empty() || !is_usable(found.scale)) {
      deviations.push_back({fold.pair.smooth, found.scale.empty()
                                                  ? "no calibration token came by, so it keeps its scale"
                                                  : "calibration gave no usable scale, so it keeps its own"});
      continue;
    }
    plan::FoldResult result = result_of(fold, found, plan_.recipe.transforms[fold.transform].kind);
    done.push_back({.pair = &fold.pair, .scale = std::move(found.scale), .result = std::move(result)});
  }
  // Only now, so that every scale is found on the weights of the file.
  for (const FoldedScale& folded : done) model_.weights().fold(*folded.pair, folded.scale);
  for (const std::unique_ptr<ScaleFinder>& finder : finders) finder->finish();
  finders.clear();
  model_.reload();
  return done;
}

}  // namespace farthing::quantize
