#include "calibrate/channel_collector.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace farthing::calibrate {

void ChannelCollector::begin(const nn::Batch& batch) {
  batch_rows_ = batch.rows();
  wanted_rows_ = 0;
  for (const std::int64_t length : batch.lengths) {
    if (num_sequences_ > 0 && heard_sequences_ >= num_sequences_) break;
    ++heard_sequences_;
    wanted_rows_ += length;
  }
}

void ChannelCollector::inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
                              std::int64_t columns) {
  // Rows that do not belong to sequences any more (an expert's) are heard as long as any sequence is.
  if (rows == batch_rows_ || wanted_rows_ == 0) rows = wanted_rows_;
  if (rows == 0) return;
  for (const std::string& path : paths) {
    if (!paths_.contains(path)) continue;
    ChannelStatistics& seen = seen_[path];
    if (seen.tokens == 0) {
      seen.lowest.assign(static_cast<std::size_t>(columns), std::numeric_limits<float>::infinity());
      seen.highest.assign(static_cast<std::size_t>(columns), -std::numeric_limits<float>::infinity());
      seen.absolute_sum.assign(static_cast<std::size_t>(columns), 0.0);
    }
    seen.tokens += rows;
    // Every channel is summed row after row, however many threads there are.
    pool_.parallel_for(columns, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t c = begin; c < end; ++c) {
          const float value = x[row * columns + c];
          const auto i = static_cast<std::size_t>(c);
          seen.lowest[i] = std::min(seen.lowest[i], value);
          seen.highest[i] = std::max(seen.highest[i], value);
          seen.absolute_sum[i] += std::abs(value);
        }
      }
    });
  }
}

}  // namespace farthing::calibrate
