// What the linears read in the original model, kept for one batch: GPTAQ sets it beside what the same linears
// read in the same batch of the model whose earlier layers are quantized.
#pragma once

#include <map>
#include <set>
#include <string>

#include "calibrate/listener.h"
#include "tensor/tensor.h"

namespace farthing::calibrate {

class OriginalInputs : public Listener {
 public:
  /// Listens for the linears at `paths` (canonical); others pass by.
  explicit OriginalInputs(std::set<std::string> paths) : paths_(std::move(paths)) {}

  void begin(const nn::Batch& batch) override;
  void inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
              std::int64_t columns) override;

  /// Hands over [rows, columns] of the linears whose first listened path this is. Undefined where the linear
  /// did not read every token of the batch in order: the rows of a routed expert have no partners.
  Tensor take(const std::string& path);

 private:
  std::set<std::string> paths_;
  std::int64_t rows_ = 0;
  std::map<std::string, Tensor> kept_;
};

}  // namespace farthing::calibrate
