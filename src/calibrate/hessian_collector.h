// Listens to the inputs of linears during a calibration pass and sums their Gram matrices, one per group of
// linears that share an input: what GPTQ calls the Hessian, H = 2/N sum x x^T with N the number of sequences.
#pragma once

#include <map>
#include <set>
#include <string>

#include "calibrate/listener.h"

namespace farthing::calibrate {

class HessianCollector : public Listener {
 public:
  /// Listens for the linears at `paths` (canonical); others pass by. `num_sequences` is N.
  HessianCollector(std::set<std::string> paths, std::int64_t num_sequences, ThreadPool& pool);

  void inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
              std::int64_t columns) override;

  /// Adds rows seen by one linear, whether or not it is listened for.
  void add(const std::string& path, const float* x, std::int64_t rows, std::int64_t columns) {
    group_of_.try_emplace(path, path);
    add_to(sums_[path], x, rows, columns);
  }

  /// Returns the symmetric matrix [K, K] of the linear's input group, or an undefined tensor when it saw no
  /// token.
  const Tensor& hessian(const std::string& path);

  /// The path under which linears with the same input are collected: equal for all of one group.
  const std::string& group_of(const std::string& path) const;

  std::int64_t tokens(const std::string& path) const;

 private:
  struct Sum {
    Tensor gram;
    std::int64_t tokens = 0;
    bool symmetric = false;
  };

  void add_to(Sum& sum, const float* x, std::int64_t rows, std::int64_t columns);

  std::set<std::string> paths_;
  float factor_;
  ThreadPool& pool_;
  std::map<std::string, std::string> group_of_;  // path -> first path of its group
  std::map<std::string, Sum> sums_;              // by group
};

}  // namespace farthing::calibrate
