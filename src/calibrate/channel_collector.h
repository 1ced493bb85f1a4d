// The range and the mean size of every channel that linears read: what SmoothQuant and AWQ choose their
// scales by.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "calibrate/listener.h"

namespace farthing::calibrate {

struct ChannelStatistics {
  std::vector<float> lowest, highest;  // by channel; empty until a token came by
  std::vector<double> absolute_sum;    // of |x| over all tokens
  std::int64_t tokens = 0;
};

class ChannelCollector : public Listener {
 public:
  /// Listens for the linears at `paths` (canonical); others pass by. `num_sequences`: only to that many, from
  /// the first; 0 for all.
  ChannelCollector(std::set<std::string> paths, std::int64_t num_sequences, ThreadPool& pool)
      : paths_(std::move(paths)), num_sequences_(num_sequences), pool_(pool) {}

  void begin(const nn::Batch& batch) override;
  void inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
              std::int64_t columns) override;

  /// What was seen; without tokens where none came by.
  const ChannelStatistics& of(const std::string& path) { return seen_[path]; }

 private:
  std::set<std::string> paths_;
  std::int64_t num_sequences_, heard_sequences_ = 0;
  std::int64_t batch_rows_ = 0, wanted_rows_ = 0;  // of the batch that runs
  ThreadPool& pool_;
  std::map<std::string, ChannelStatistics> seen_;
};

}  // namespace farthing::calibrate
