#include "nn/moe.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "nn/names.h"

namespace farthing::nn {
namespace {

void softmax(float* x, std::int64_t count) {
  const float largest = *std::max_element(x, x + count);
  float sum = 0.0f;
  for (std::int64_t i = 0; i < count; ++i) sum += x[i] = std::exp(x[i] - largest);
  for (std::int64_t i = 0; i < count; ++i) x[i] /= sum;
}

// The `count` best experts, best first; the lower index wins a tie.
std::vector<std::size_t> best_experts(const float* probabilities, std::size_t num_experts,
                                      std::size_t count) {
  std::vector<std::size_t> order(num_experts);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto better = [&](std::size_t a, std::size_t b) {
    return probabilities[a] != probabilities[b] ? probabilities[a] > probabilities[b] : a < b;
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(), better);
  order.resize(count);
  return order;
}

}  // namespace

MixtureOfExperts::MixtureOfExperts(const MoeSpec& spec, const std::string& parent, const WeightSource& source)
    : spec_(spec), path_(join(parent, spec.name)) {
  const std::string& path = path_;
  router_ = Linear(spec.router, join(path, spec.router.name), source);
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
  std::fill_n(y, rows * spec_.router.in_features, 0.0f);
  for (std::size_t e = 0; e < experts_.size(); ++e)
    if (!assignments[e].empty()) run_expert(experts_[e], assignments[e], x, y, context);
  if (shared_expert_) add_shared_expert(x, rows, y, context);
}

std::vector<std::vector<MixtureOfExperts::Assignment>> MixtureOfExperts::route(
    const float* x, std::int64_t rows, const ForwardContext& context) {
  Linear* router = &router_;
  context.observe({&router, 1}, x, rows);
  float* logits = context.scratch->floats(Scratch::kRouterLogits, rows * spec_.num_experts);
  router_.forward(x, rows, logits, context.pool);

  std::vector<std::vector<Assignment>> assignments(experts_.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    float* probabilities = logits + row * spec_.num_experts;
    softmax(probabilities, spec_.num_experts);
    const std::vector<std::size_t> chosen =
        best_experts(probabilities, experts_.size(), static_cast<std::size_t>(spec_.num_experts_per_token));
    float sum = 0.0f;
    for (const std::size_t e : chosen) sum += probabilities[e];
    const float divisor = spec_.normalize_top_k ? sum : 1.0f;
    for (const std::size_t e : chosen) assignments[e].push_back({row, probabilities[e] / divisor});
  }
  return assignments;
}

void MixtureOfExperts::run_expert(Mlp& expert, const std::vector<Assignment>& assignments, const float* x,
                                  float* y, const ForwardContext& context) {
  const std::int64_t width = spec_.router.in_features, count = static_cast<std::int64_t>(assignments.size());
  float* input = context.scratch->floats(Scratch::kExpertInput, count * width);
  float* output = context.scratch->floats(Scratch::kExpertOutput, count * width);
  for (std::int64_t i = 0; i < count; ++i)
    std::copy_n(x + assignments[static_cast<std::size_t>(i)].row * width, width, input + i * width);
  expert.forward(input, count, output, context);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto [row, weight] = assignments[static_cast<std::size_t>(i)];
    for (std::int64_t j = 0; j < width; ++j) y[row * width + j] += weight * output[i * width + j];
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
  std::size_t sum = router_.num_bytes() + shared_expert_gate_.num_bytes();
  for (const Mlp& expert : experts_) sum += expert.num_bytes();
  return sum + (shared_expert_ ? shared_expert_->num_bytes() : 0);
}

}  // namespace farthing::nn
