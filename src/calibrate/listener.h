// Who listens to a calibration pass.
#pragma once

#include <span>
#include <string>

#include "nn/forward_context.h"

namespace farthing::calibrate {

class Listener {
 public:
  virtual ~Listener() = default;

  /// The next calls belong to the sequences of this batch.
  virtual void begin(const nn::Batch& batch) { (void)batch; }

  /// What the block itself is about to read, [rows, columns].
  virtual void block_input(const float* hidden, std::int64_t rows, std::int64_t columns) {
    (void)hidden, (void)rows, (void)columns;
  }

  /// The linears at `paths` are about to read `x` [rows, columns].
  virtual void inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
                      std::int64_t columns) {
    (void)paths, (void)x, (void)rows, (void)columns;
  }

  /// A router sent so many rows of the batch to each of its experts.
  virtual void routed(const std::string& experts, const std::vector<std::int64_t>& tokens) {
    (void)experts, (void)tokens;
  }

  virtual void keys_and_values(const nn::KeysAndValues& heads) { (void)heads; }
};

}  // namespace farthing::calibrate
