#include "calibrate/hessian_collector.h"

#include "base/error.h"
#include "kernels/linalg.h"

namespace farthing::calibrate {

HessianCollector::HessianCollector(std::set<std::string> paths, std::int64_t num_sequences, ThreadPool& pool,
                                   OriginalInputs* original)
    : paths_(std::move(paths)),
      factor_(2.0f / static_cast<float>(std::max<std::int64_t>(1, num_sequences))),
      pool_(pool),
      original_(original) {}

void HessianCollector::inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
                              std::int64_t columns) {
  const std::string* group = nullptr;
  for (const std::string& path : paths) {
    if (!paths_.contains(path)) continue;
    if (group == nullptr) group = &path;
    group_of_.try_emplace(path, *group);
  }
  if (group == nullptr) return;
  Sum& sum = sums_[group_of_.at(*group)];
  add_to(sum, x, rows, columns);
  if (original_ == nullptr) return;
  Tensor partners = original_->take(*group);
  if (partners.defined() && partners.dim(0) == rows) add_shift(sum, std::move(partners), x);
}

void HessianCollector::add_to(Sum& sum, const float* x, std::int64_t rows, std::int64_t columns) {
  if (!sum.gram.defined()) sum.gram = Tensor::zeros(DType::kF32, {columns, columns});
  FARTHING_CHECK(!sum.symmetric && sum.gram.dim(0) == columns);
  kernels::accumulate_gram(x, rows, columns, factor_, sum.gram.mutable_data<float>(), pool_);
  sum.tokens += rows;
}

void HessianCollector::add_shift(Sum& sum, Tensor original, const float* x) {
  const std::int64_t rows = original.dim(0), columns = original.dim(1);
  if (!sum.shift.defined()) sum.shift = Tensor::zeros(DType::kF32, {columns, columns});
  float* difference = original.mutable_data<float>();
  pool_.parallel_for(rows, 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * columns; i < end * columns; ++i) difference[i] -= x[i];
  });
  kernels::accumulate_product(difference, x, rows, columns, factor_, sum.shift.mutable_data<float>(), pool_);
  sum.paired += rows;
}

const Tensor& HessianCollector::shift(const std::string& path) const {
  static const Tensor kNone;
  const auto group = group_of_.find(path);
  if (group == group_of_.end()) return kNone;
  const Sum& sum = sums_.at(group->second);
  return sum.paired == sum.tokens ? sum.shift : kNone;
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
