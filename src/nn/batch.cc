#include "nn/batch.h"

#include <numeric>

#include "base/error.h"

namespace farthing::nn {

std::int64_t KeyValueCache::append(std::int64_t count) {
  const std::int64_t start = length_;
  length_ += count;
  keys_.resize(static_cast<std::size_t>(length_ * key_width_));
  values_.resize(static_cast<std::size_t>(length_ * value_width_));
  return start;
}

void KeyValueCache::truncate(std::int64_t length) {
  FARTHING_CHECK(length >= 0 && length <= length_, "{} of {} rows", length, length_);
  length_ = length;
  keys_.resize(static_cast<std::size_t>(length_ * key_width_));
  values_.resize(static_cast<std::size_t>(length_ * value_width_));
}

std::size_t SequenceCache::num_bytes() const {
  return std::accumulate(layers.begin(), layers.end(), std::size_t{0},
                         [](std::size_t sum, const KeyValueCache& layer) { return sum + layer.num_bytes(); });
}

std::int64_t Batch::rows() const {
  return std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
}

Batch Batch::of(std::vector<std::int64_t> lengths) {
  Batch batch;
  batch.lengths = std::move(lengths);
  batch.context_lengths = batch.lengths;
  batch.positions.reserve(static_cast<std::size_t>(batch.rows()));
  for (const std::int64_t length : batch.lengths)
    for (std::int64_t position = 0; position < length; ++position) batch.positions.push_back(position);
  return batch;
}

}  // namespace farthing::nn
