// Keeps what modules read in calibration, for those who run them again.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "calibrate/listener.h"

namespace farthing::calibrate {

/// What was read, [rows, columns], during one batch.
struct KeptInput {
  std::size_t batch = 0;
  Tensor x;
};

class InputKeeper : public Listener {
 public:
  /// Listens at the linears `paths` (canonical), and with `block` at the block itself, during the batches of
  /// which `wanted` is true, counted by the calls of `begin`.
  InputKeeper(std::set<std::string> paths, bool block, std::vector<bool> wanted)
      : paths_(std::move(paths)), block_(block), wanted_(std::move(wanted)) {}

  void begin(const nn::Batch&) override { ++batches_; }
  void block_input(const float* hidden, std::int64_t rows, std::int64_t columns) override;
  void inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
              std::int64_t columns) override;

  /// One per wanted batch that came by here, in order.
  const std::vector<KeptInput>& of(const std::string& path) { return kept_[path]; }
  const std::vector<KeptInput>& of_block() { return kept_[{}]; }

 private:
  bool is_wanted() const { return batches_ > 0 && wanted_[batches_ - 1]; }

  std::set<std::string> paths_;
  bool block_;
  std::vector<bool> wanted_;
  std::size_t batches_ = 0;
  std::map<std::string, std::vector<KeptInput>> kept_;
};

}  // namespace farthing::calibrate
