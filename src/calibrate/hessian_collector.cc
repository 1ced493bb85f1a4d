#include "calibrate/hessian_collector.h"

#include "base/error.h"
#include "kernels/linalg.h"

namespace farthing::calibrate {

HessianCollector::HessianCollector(std::set<std::string> paths, std::int64_t num_sequences, ThreadPool& pool)
    : paths_(std::move(paths)),
      factor_(2.0f / static_cast<float>(std::max<std::int64_t>(1, num_sequences))),
      pool_(pool) {}

void HessianCollector::inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
                              std::int64_t columns) {
  const std::string* group = nullptr;
  for (const std::string& path : paths) {
    if (!paths_.contains(path)) continue;
    if (group == nullptr) group = &path;
    group_of_.try_emplace(path, *group);
  }
  if (group != nullptr) add_to(sums_[group_of_.at(*group)], x, rows, columns);
}

void HessianCollector::add_to(Sum& sum, const float* x, std::int64_t rows, std::int64_t columns) {
  if (!sum.gram.defined()) sum.gram = Tensor::zeros(DType::kF32, {columns, columns});
  FARTHING_CHECK(!sum.symmetric && sum.gram.dim(0) == columns);
  kernels::accumulate_gram(x, rows, columns, factor_, sum.gram.mutable_data<float>(), pool_);
  sum.tokens += rows;
}

const Tensor& HessianCollector::hessian(const std::string& path) {
  static const Tensor kNone;
  const auto group = group_of_.find(path);
  if (group == group_of_.end()) return kNone;
  Sum& sum = sums_.at(group->second);
  if (!sum.symmetric) {
    kernels::symmetrize(sum.gram.mutable_data<float>(), sum.gram.dim(0), pool_);
    sum.symmetric = true;
  }
  return sum.gram;
}

const std::string& HessianCollector::group_of(const std::string& path) const {
  const auto group = group_of_.find(path);
  return group == group_of_.end() ? path : group->second;
}

std::int64_t HessianCollector::tokens(const std::string& path) const {
  const auto group = group_of_.find(path);
  return group == group_of_.end() ? 0 : sums_.at(group->second).tokens;
}

}  // namespace farthing::calibrate
