#include "calibrate/channel_collector.h"
#include "quantize/scale_finder.h"

namespace farthing::quantize {
namespace {

class SmoothQuantFinder : public ScaleFinder {
 public:
  SmoothQuantFinder(const plan::QuantizePlan& plan, const plan::BlockPlan& block, std::size_t transform,
                    CalibratedModel& model, ThreadPool& pool)
      : settings_(plan.recipe.transforms[transform]),
        model_(model),
        pool_(pool),
        channels_(places(block, transform), settings_.num_samples, pool) {}

  std::vector<calibrate::Listener*> listeners() override { return {&channels_}; }

  FoundScale find(const plan::FoldPlan& fold) override {
    const calibrate::ChannelStatistics& seen = channels_.of(listening_place(fold));
    if (seen.tokens == 0) return {};
    std::vector<Tensor> weights;
    for (const std::string& path : fold.measured)
      weights.push_back(std::get<Tensor>(model_.weights().linear_weight(path)));
    return {.scale = methods::smoothing_scales(seen.lowest, seen.highest, weights, settings_.smoothquant,
                                               weights.front().dtype(), pool_)};
  }

 private:
  static std::set<std::string> places(const plan::BlockPlan& block, std::size_t transform) {
    std::set<std::string> paths;
    for (const plan::FoldPlan& fold : block.folds)
      if (fold.transform == transform) paths.insert(listening_place(fold));
    return paths;
  }

  const plan::Transform& settings_;
  CalibratedModel& model_;
  ThreadPool& pool_;
  calibrate::ChannelCollector channels_;
};

}  // namespace

std::unique_ptr<ScaleFinder> make_smoothquant_finder(const plan::QuantizePlan& plan,
                                                     const plan::BlockPlan& block, std::size_t transform,
                                                     CalibratedModel& model, ThreadPool& pool) {
  return std::make_unique<SmoothQuantFinder>(plan, block, transform, model, pool);
}

}  // namespace farthing::quantize
