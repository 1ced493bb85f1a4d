#include "nn/moe.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "nn/names.h"
#include "nn/norm.h"

namespace farthing::nn {
namespace {

void sigmoid(float* x, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) x[i] = 1.0f / (1.0f + std::exp(-x[i]));
}

void softmax(float* x, std::int64_t count) {
  const float largest = *std::max_element(x, x + count);
  float sum = 0.0f;
  for (std::int64_t i = 0; i < count; ++i) sum += x[i] = std::exp(x[i] - largest);
  for (std::int64_t i = 0; i < count; ++i) x[i] /= sum;
}

// Places of the `count` largest scores, largest first; the lower place wins a tie.
std::vector<std::size_t> largest(const std::vector<float>& scores, std::int64_t count) {
  std::vector<std::size_t> order(scores.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto better = [&](std::size_t a, std::size_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + count, order.end(), better);
  order.resize(static_cast<std::size_t>(count));
  return order;
}

}  // namespace

MixtureOfExperts::MixtureOfExperts(const MoeSpec& spec, const std::string& parent, const WeightSource& source)
    : spec_(spec), path_(join(parent, spec.name)) {
  const std::string& path = path_;
  router_ = Linear(spec.router, join(path, spec.router.name), source);
  if (!spec.choice_bias.empty()) {
    const Shape shape = spec.choice_bias_shape.empty() ? Shape{spec.num_experts} : spec.choice_bias_shape;
    choice_bias_ = read_float32(source, join(path, spec.choice_bias), shape).clone();
  }
  experts_.reserve(static_cast<std::size_t>(spec.num_experts));
  for (std::int64_t e = 0; e < spec.num_experts; ++e)
    experts_.emplace_back(spec.expert, join(join(path, spec.experts_name), e), source);
  if (spec.shared_expert)
    shared_expert_.emplace(*spec.shared_expert, join(path, spec.shared_expert->name), source);
  if (spec.shared_expert_gate)
    shared_expert_gate_ = Linear(*spec.shared_expert_gate, join(path, spec.shared_expert_gate->name), source);
}

void MixtureOfExperts::forward(const float* x, std::int64_t rows, float* y, const ForwardContext& context) {
  const std::vector<std::vector<Assignment>> assignments = route(x, rows, context);
  if (context.routing_observer != nullptr && *context.routing_observer)
    (*context.routing_observer)(join(path_, spec_.experts_name), routed_tokens(assignments));
  std::fill_n(y, rows * spec_.router.in_features, 0.0f);
  for (std::size_t e = 0; e < experts_.size(); ++e)
    if (!assignments[e].empty()) run_expert(experts_[e], assignments[e], x, y, context);
  if (shared_expert_) add_shared_expert(x, rows, y, context);
}

std::vector<std::int64_t> MixtureOfExperts::routed_tokens(
    const std::vector<std::vector<Assignment>>& assignments) {
  std::vector<std::int64_t> counts;
  for (const std::vector<Assignment>& rows : assignments)
    counts.push_back(
        std::count_if(rows.begin(), rows.end(), [](const Assignment& a) { return a.is_routed; }));
  return counts;
}

std::vector<std::vector<MixtureOfExperts::Assignment>> MixtureOfExperts::route(
    const float* x, std::int64_t rows, const ForwardContext& context) {
  Linear* router = &router_;
  context.observe({&router, 1}, x, rows);
  float* logits = context.scratch->floats(Scratch::kRouterLogits, rows * spec_.num_experts);
  router_.forward(x, rows, logits, context.pool);

  std::vector<std::vector<Assignment>> assignments(experts_.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    float* scores = logits + row * spec_.num_experts;
    spec_.score == RouterScore::kSigmoid ? sigmoid(scores, spec_.num_experts)
                                         : softmax(scores, spec_.num_experts);
    const std::vector<std::size_t> chosen = choose(scores);
    float sum = 1e-20f;  // sigmoids may all vanish
    for (const std::size_t e : chosen) sum += scores[e];
    const float factor = spec_.routed_scale / (spec_.normalize_top_k ? sum : 1.0f);
    for (const std::size_t e : chosen) assignments[e].push_back({row, scores[e] * factor});
    if (!context.calibrates_all_experts) continue;
    for (std::size_t e = 0; e < experts_.size(); ++e)
      if (std::find(chosen.begin(), chosen.end(), e) == chosen.end())
        assignments[e].push_back({row, scores[e] * factor, /*is_routed=*/false});
  }
  return assignments;
}

std::vector<std::size_t> MixtureOfExperts::choose(const float* scores) const {
  std::vector<float> choice(scores, scores + spec_.num_experts);
  if (choice_bias_.defined())
    for (std::size_t e = 0; e < choice.size(); ++e) choice[e] += choice_bias_.data<float>()[e];
  if (spec_.num_groups > 1) leave_best_groups(choice);
  return largest(choice, spec_.num_experts_per_token);
}

// DeepSeek-V2 and -V3: a token may go to few groups only, which lie on different machines.
void MixtureOfExperts::leave_best_groups(std::vector<float>& scores) const {
  const auto size = static_cast<std::ptrdiff_t>(spec_.num_experts / spec_.num_groups);
  std::vector<float> groups;
  for (auto group = scores.begin(); group != scores.end(); group += size) {
    const std::vector<float> members(group, group + size);
    float sum = 0.0f;
    for (const std::size_t e : largest(members, spec_.experts_per_group_score)) sum += members[e];
    groups.push_back(sum);
  }
  const std::vector<std::size_t> best = largest(groups, spec_.groups_per_token);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (std::find(best.begin(), best.end(), g) != best.end()) continue;
    const auto group = scores.begin() + static_cast<std::ptrdiff_t>(g) * size;
    std::fill(group, group + size, -std::numeric_limits<float>::infinity());
  }
}

void MixtureOfExperts::run_expert(Mlp& expert, const std::vector<Assignment>& assignments, const float* x,
                                  float* y, const ForwardContext& context) {
  const std::int64_t width = spec_.router.in_features, count = static_cast<std::int64_t>(assignments.size());
  float* input = context.scratch->floats(Scratch::kExpertInput, count * width);
  float* output = context.scratch->floats(Scratch::kExpertOutput, count * width);
  for (std::int64_t i = 0; i < count; ++i) {
    const Assignment& assignment = assignments[static_cast<std::size_t>(i)];
    const float factor = spec_.scales_inputs ? assignment.weight : 1.0f;
    for (std::int64_t j = 0; j < width; ++j) input[i * width + j] = factor * x[assignment.row * width + j];
  }
  expert.forward(input, count, output, context);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto [row, weight, is_routed] = assignments[static_cast<std::size_t>(i)];
    if (!is_routed) continue;
    const float factor = spec_.scales_inputs ? 1.0f : weight;
    for (std::int64_t j = 0; j < width; ++j) y[row * width + j] += factor * output[i * width + j];
  }
}

void MixtureOfExperts::add_shared_expert(const float* x, std::int64_t rows, float* y,
                                         const ForwardContext& context) {
  const std::int64_t width = spec_.router.in_features;
  float* output = context.scratch->floats(Scratch::kExpertOutput, rows * width);
  shared_expert_->forward(x, rows, output, context);
  std::vector<float> weights(static_cast<std::size_t>(rows), 1.0f);
  if (shared_expert_gate_) {
    Linear* gate = &shared_expert_gate_;
    context.observe({&gate, 1}, x, rows);
    shared_expert_gate_.forward(x, rows, weights.data(), context.pool);
    for (float& weight : weights) weight = 1.0f / (1.0f + std::exp(-weight));
  }
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t j = 0; j < width; ++j)
      y[row * width + j] += weights[static_cast<std::size_t>(row)] * output[row * width + j];
}

void MixtureOfExperts::append_linears(std::vector<Linear*>& linears) {
  linears.push_back(&router_);
  for (Mlp& expert : experts_) expert.append_linears(linears);
  if (shared_expert_) shared_expert_->append_linears(linears);
  if (shared_expert_gate_) linears.push_back(&shared_expert_gate_);
}

void MixtureOfExperts::append_expert_paths(std::vector<std::string>& paths) const {
  for (std::int64_t e = 0; e < spec_.num_experts; ++e)
    paths.push_back(join(join(path_, spec_.experts_name), e));
  if (shared_expert_) paths.push_back(join(path_, spec_.shared_expert->name));
}

Mlp* MixtureOfExperts::expert(const std::string& path) {
  for (std::int64_t e = 0; e < spec_.num_experts; ++e)
    if (join(join(path_, spec_.experts_name), e) == path) return &experts_[static_cast<std::size_t>(e)];
  return shared_expert_ && join(path_, spec_.shared_expert->name) == path ? &*shared_expert_ : nullptr;
}

std::size_t MixtureOfExperts::num_bytes() const {
  std::size_t sum = router_.num_bytes() + choice_bias_.num_bytes() + shared_expert_gate_.num_bytes();
  for (const Mlp& expert : experts_) sum += expert.num_bytes();
  return sum + (shared_expert_ ? shared_expert_->num_bytes() : 0);
}

}  // namespace farthing::nn
