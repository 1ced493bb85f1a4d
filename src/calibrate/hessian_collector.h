// Listens to the inputs of linears during a calibration pass and sums their Gram matrices, one per group of
// linears that share an input: what GPTQ calls the Hessian, H = 2/N sum x x^T with N the number of sequences.
#pragma once

#include <map>
#include <set>
#include <string>

#include "calibrate/listener.h"
#include "calibrate/original_inputs.h"

namespace farthing::calibrate {

class HessianCollector : public Listener {
 public:
  /// Listens for the linears at `paths` (canonical); others pass by. `num_sequences` is N. With `original`,
  /// which hears every batch first, the shift of the inputs is summed too.
  HessianCollector(std::set<std::string> paths, std::int64_t num_sequences, ThreadPool& pool,
                   OriginalInputs* original = nullptr);

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

  /// Returns D = 2/N sum (x~ - x) x^T [K, K] of the linear's input group, x~ being what the original model
  /// reads where the quantized one reads x, or an undefined tensor where not every token has a partner.
  const Tensor& shift(const std::string& path) const;

  /// The path under which linears with the same input are collected: equal for all of one group.
  const std::string& group_of(const std::string& path) const;

  std::int64_t tokens(const std::string& path) const;

 private:
  struct Sum {
    Tensor gram, shift;
    std::int64_t tokens = 0, paired = 0;
    bool symmetric = false;
  };

  void add_to(Sum& sum, const float* x, std::int64_t rows, std::int64_t columns);
  void add_shift(Sum& sum, Tensor original, const float* x);

  std::set<std::string> paths_;
  float factor_;
  ThreadPool& pool_;
  OriginalInputs* original_;
  std::map<std::string, std::string> group_of_;  // path -> first path of its group
  std::map<std::string, Sum> sums_;              // by group
};

}  // namespace farthing::calibrate
