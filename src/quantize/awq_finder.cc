// AWQ in one block. Every candidate for a scale is judged by what rounding under it does to the output of the
// innermost module around the linears that take the scale: for a single linear from the Gram matrix of its
// inputs, else by running the module again.
#include <algorithm>
#include <limits>

#include "base/error.h"
#include "calibrate/channel_collector.h"
#include "calibrate/group_gram_collector.h"
#include "calibrate/hessian_collector.h"
#include "calibrate/input_keeper.h"
#include "kernels/linalg.h"
#include "nn/names.h"
#include "plan/footprint.h"
#include "quantize/scale_finder.h"

namespace farthing::quantize {
namespace {

using methods::AwqCandidate;
using methods::AwqWeight;
using plan::FoldPlan;

// Rows of a weight that are rounded together, where rows do not share scales.
constexpr std::int64_t kRowsAtOnce = 512;

// AutoAWQ's clipping looks at that many tokens, evenly spread.
constexpr std::int64_t kClipTokens = 512;

// The innermost of the block's modules (outermost first), or the linear itself, that holds all `paths`.
std::string parent_of(const std::vector<std::string>& paths, const std::vector<std::string>& modules) {
  if (paths.size() == 1) return paths.front();
  std::string parent = modules.front();
  for (const std::string& module : modules) {
    const bool holds = std::all_of(paths.begin(), paths.end(),
                                   [&](const std::string& path) { return path.starts_with(module + "."); });
    if (holds && module.size() >= parent.size()) parent = module;
  }
  return parent;
}

// sum over rows of d G d^T: the energy of the outputs x d over the inputs.
double energy(const Tensor& rows, const Tensor& gram, ThreadPool& pool) {
  const std::int64_t count = rows.dim(0), columns = rows.dim(1);
  Tensor product = Tensor::zeros(DType::kF32, {count, columns});  // becomes -rows G
  kernels::subtract_product(rows.data<float>(), columns, gram.data<float>(), columns, count, columns, columns,
                            product.mutable_data<float>(), columns, pool);
  double sum = 0;
  for (std::int64_t i = 0; i < rows.numel(); ++i)
    sum -= static_cast<double>(rows.data<float>()[i]) * product.data<float>()[i];
  return std::max(sum, 0.0);
}

void subtract(const Tensor& from, Tensor& values) {
  float* out = values.mutable_data<float>();
  for (std::int64_t i = 0; i < values.numel(); ++i) out[i] -= from.data<float>()[i];
}

double squared_distance(const Tensor& a, const Tensor& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < a.numel(); ++i) {
    const double difference = static_cast<double>(a.data<float>()[i]) - b.data<float>()[i];
    sum += difference * difference;
  }
  return sum;
}

class AwqFinder : public ScaleFinder {
 public:
  AwqFinder(const plan::QuantizePlan& plan, const plan::BlockPlan& block, std::size_t transform,
            CalibratedModel& model, ThreadPool& pool);

  std::vector<calibrate::Listener*> listeners() override {
    return {&channels_, &grams_, &kept_, &clip_grams_};
  }
  FoundScale find(const FoldPlan& fold) override;
  void finish() override;

 private:
  // A linear that takes the scale and will be rounded.
  struct Member {
    const plan::LinearPlan* plan;
    AwqWeight weight;
    scheme::ObserverOptions observer;
  };

  std::vector<Member> members_of(const FoldPlan& fold) const;
  Tensor weight_of(const plan::LinearPlan& linear) const {
    return std::get<Tensor>(model_.weights().linear_weight(linear.module.path));
  }

  /// Mean squared change of the parent's outputs when the members are rounded under a scale; none: as they
  /// are.
  using Loss = std::function<double(std::span<const float> scale)>;
  Loss linear_loss(const Member& member);
  Loss module_loss(const std::string& parent, const std::string& place, const std::vector<Member>& members);

  Tensor run(const std::string& parent, const calibrate::KeptInput& input);
  nn::Linear& linear_at(const std::string& path);

  const plan::QuantizePlan& plan_;
  const plan::BlockPlan& block_;
  const methods::AwqOptions& options_;
  CalibratedModel& model_;
  ThreadPool& pool_;
  std::vector<std::string> modules_;  // of the block, outermost first
  std::map<std::string, const plan::LinearPlan*> quantized_;
  std::map<std::string, std::vector<float>> scale_of_;  // that a linear's inputs took
  calibrate::ChannelCollector channels_;
  calibrate::HessianCollector grams_;
  calibrate::InputKeeper kept_;
  calibrate::GroupGramCollector clip_grams_;
};

struct Places {
  std::set<std::string> all, linears, modules;  // where folds listen: in all, for a linear, for a module
  bool block = false;
};

Places places_of(const plan::BlockPlan& block, std::size_t transform,
                 const std::vector<std::string>& modules) {
  Places places;
  for (const FoldPlan& fold : block.folds) {
    if (fold.transform != transform) continue;
    const std::string parent = parent_of(fold.measured, modules), place = listening_place(fold);
    places.all.insert(place);
    if (parent == modules.front())
      places.block = true;
    else
      (fold.measured.size() == 1 ? places.linears : places.modules).insert(place);
  }
  return places;
}

// Linears whose largest weights may be cut off: not those that make queries and keys.
std::map<std::string, std::int64_t> clip_widths(const plan::QuantizePlan& plan,
                                                const plan::BlockPlan& block) {
  const nn::AttentionSpec& attention =
      plan.spec->decoder.blocks[static_cast<std::size_t>(block.index)].attention;
  std::set<std::string> spared;
  for (std::size_t i = 0; i < attention.inputs.size(); ++i)
    if (i < 2) spared.insert(nn::join(nn::join(block.path, attention.name), attention.inputs[i].name));
  std::map<std::string, std::int64_t> widths;
  for (const plan::Step& step : block.steps) {
    for (const std::size_t index : step.linears) {
      const plan::LinearPlan& linear = plan.linears[index];
      if (linear.method != plan::Method::kRtn || spared.contains(linear.module.path)) continue;
      const std::int64_t width = methods::awq_clip_width(*linear.scheme.weights, linear.module.in_features);
      if (width > 0) widths.emplace(linear.module.path, width);
    }
  }
  return widths;
}

// Batches that are searched over: all, or as many as have plan::kSearchRows rows, evenly spread.
std::vector<bool> choose_batches(const CalibratedModel& model) {
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < model.num_batches(); ++i) rows += model.batch(i).rows();
  const std::int64_t stride = std::max<std::int64_t>(1, (rows + plan::kSearchRows - 1) / plan::kSearchRows);
  std::vector<bool> wanted(model.num_batches());
  for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = static_cast<std::int64_t>(i) % stride == 0;
  return wanted;
}

std::int64_t clip_stride(const CalibratedModel& model) {
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < model.num_batches(); ++i) rows += model.batch(i).rows();
  return std::max<std::int64_t>(1, rows / kClipTokens);
}

AwqFinder::AwqFinder(const plan::QuantizePlan& plan, const plan::BlockPlan& block, std::size_t transform,
                     CalibratedModel& model, ThreadPool& pool)
    : plan_(plan),
      block_(block),
      options_(plan.recipe.transforms[transform].awq),
      model_(model),
      pool_(pool),
      modules_(model.block().modules()),
      channels_(places_of(block, transform, modules_).all, 0, pool),
      grams_(places_of(block, transform, modules_).linears, 2, pool),
      kept_(places_of(block, transform, modules_).modules, places_of(block, transform, modules_).block,
            choose_batches(model)),
      clip_grams_(options_.clip ? clip_widths(plan, block) : std::map<std::string, std::int64_t>{},
                  clip_stride(model), pool) {
  for (const plan::Step& step : block.steps)
    for (const std::size_t index : step.linears)
      quantized_.emplace(plan.linears[index].module.path, &plan.linears[index]);
}

std::vector<AwqFinder::Member> AwqFinder::members_of(const FoldPlan& fold) const {
  std::vector<Member> members;
  for (const std::string& path : fold.measured) {
    const auto found = quantized_.find(path);
    if (found == quantized_.end()) continue;  // a router, or what the recipe ignores
    const plan::LinearPlan& linear = *found->second;
    members.push_back({.plan = &linear,
                       .weight = {.weight = weight_of(linear), .args = &*linear.scheme.weights},
                       .observer = {.model_dtype = linear.scale_dtype}});
  }
  return members;
}

FoundScale AwqFinder::find(const FoldPlan& fold) {
  const calibrate::ChannelStatistics& seen = channels_.of(listening_place(fold));
  if (seen.tokens == 0) return {};
  const std::vector<Member> members = members_of(fold);
  std::vector<AwqWeight> weights;
  for (const Member& member : members) weights.push_back(member.weight);
  const std::vector<double> weight_means = methods::awq_weight_means(weights, options_, pool_);
  std::vector<double> input_means = seen.absolute_sum;
  for (double& mean : input_means) mean /= static_cast<double>(seen.tokens);

  const std::string parent = parent_of(fold.measured, modules_);
  const Loss loss = fold.measured.size() == 1 ? linear_loss(members.front())
                                              : module_loss(parent, listening_place(fold), members);
  FoundScale best{.loss = std::numeric_limits<double>::infinity()};
  const std::vector<float> ones(input_means.size(), 1.0f);
  best.unscaled_loss = loss(ones);
  for (const AwqCandidate& candidate : methods::awq_candidates(options_)) {
    std::vector<float> scale = methods::awq_scale(input_means, weight_means, candidate, options_);
    const double tried = scale == ones ? best.unscaled_loss : loss(scale);
    if (!(tried < best.loss)) continue;
    best.loss = tried;
    best.scale = std::move(scale);
    best.candidate = candidate;
  }
  // The block takes its own weights back.
  for (const Member& member : members) linear_at(member.plan->module.path).set_weight(member.weight.weight);
  if (options_.clip)
    for (const std::string& path : fold.pair.balance) scale_of_[path] = best.scale;
  return best;
}

AwqFinder::Loss AwqFinder::linear_loss(const Member& member) {
  const std::string& path = member.plan->module.path;
  const Tensor gram = grams_.hessian(path);  // of two sequences: 2/2 sum x x^T
  const double count =
      static_cast<double>(grams_.tokens(path)) * static_cast<double>(member.weight.weight.dim(0));
  const scheme::Strategy strategy = member.weight.args->strategy;
  const bool rows_share = strategy != scheme::Strategy::kGroup && strategy != scheme::Strategy::kChannel;
  const std::int64_t rows = member.weight.weight.dim(0), step = rows_share ? rows : kRowsAtOnce;
  return [this, &member, gram, count, rows, step](std::span<const float> scale) {
    double sum = 0;
    for (std::int64_t begin = 0; begin < rows; begin += step) {
      const Tensor part = member.weight.weight.rows(begin, std::min(begin + step, rows));
      Tensor difference =
          methods::awq_rounded({.weight = part, .args = member.weight.args}, scale, member.observer, pool_);
      subtract(to_float32(part), difference);
      sum += energy(difference, gram, pool_);
    }
    return sum / count;
  };
}

AwqFinder::Loss AwqFinder::module_loss(const std::string& parent, const std::string& place,
                                       const std::vector<Member>& members) {
  const std::vector<calibrate::KeptInput>& inputs =
      parent == modules_.front() ? kept_.of_block() : kept_.of(place);
  std::vector<Tensor> wanted;
  double count = 0;
  for (const calibrate::KeptInput& input : inputs) {
    wanted.push_back(run(parent, input));
    count += static_cast<double>(wanted.back().numel());
  }
  return [this, parent, &inputs, &members, wanted = std::move(wanted), count](std::span<const float> scale) {
    for (const Member& member : members)
      linear_at(member.plan->module.path)
          .set_weight(methods::awq_rounded(member.weight, scale, member.observer, pool_));
    double sum = 0;
    for (std::size_t i = 0; i < inputs.size(); ++i)
      sum += squared_distance(wanted[i], run(parent, inputs[i]));
    return sum / count;
  };
}

Tensor AwqFinder::run(const std::string& parent, const calibrate::KeptInput& input) {
  return model_.block().forward_module(parent, input.x, {.pool = pool_, .batch = model_.batch(input.batch)});
}

nn::Linear& AwqFinder::linear_at(const std::string& path) {
  for (nn::Linear* linear : model_.block().linears())
    if (linear->path() == path) return *linear;
  FARTHING_CHECK(false, "{} is not in {}", path, block_.path);
}

void AwqFinder::finish() {
  if (!options_.clip) return;
  for (const auto& [path, width] : clip_widths(plan_, block_)) {
    Tensor gram = clip_grams_.of(path);
    if (!gram.defined()) continue;  // an expert without tokens keeps its weights
    if (const auto scale = scale_of_.find(path); scale != scale_of_.end() && !scale->second.empty()) {
      float* values = gram.mutable_data<float>();
      for (std::int64_t i = 0; i < gram.numel(); ++i) {
        const std::int64_t group = i / (width * width);
        values[i] /= scale->second[static_cast<std::size_t>(group * width + i / width % width)] *
                     scale->second[static_cast<std::size_t>(group * width + i % width)];
      }
    }
    const plan::LinearPlan& linear = *quantized_.at(path);
    model_.weights().clip(
        path, methods::awq_clip_limits({.weight = weight_of(linear), .args = &*linear.scheme.weights}, gram,
                                       {.model_dtype = linear.scale_dtype}, pool_));
  }
}

}  // namespace

std::unique_ptr<ScaleFinder> make_awq_finder(const plan::QuantizePlan& plan, const plan::BlockPlan& block,
                                             std::size_t transform, CalibratedModel& model,
                                             ThreadPool& pool) {
  return std::make_unique<AwqFinder>(plan, block, transform, model, pool);
}

}  // namespace farthing::quantize
