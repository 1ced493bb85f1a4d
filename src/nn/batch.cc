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
  const auto add = [](std::size_t sum, const KeyValueCache& layer) { return sum + layer.num_bytes(); };
  return std::accumulate(cross_layers.begin(), cross_layers.end(),
                         std::accumulate(layers.begin(), layers.end(), std::size_t{0}, add), add);
}

std::int64_t Batch::rows() const {
  return std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
}

Sequence Sequence::of(std::int64_t length, std::int64_t axes) {
  return after({}, length, axes);
}

Sequence Sequence::after(const SequenceCache& cache, std::int64_t count, std::int64_t axes) {
  Sequence sequence{.length = count, .position_shift = cache.position_shift};
  const std::int64_t first = cache.length() + cache.position_shift;
  for (std::int64_t position = first; position < first + count; ++position)
    sequence.positions.insert(sequence.positions.end(), static_cast<std::size_t>(axes), position);
  if (cache.last_pictures) {
    sequence.picture_spans.push_back(*cache.last_pictures);
    sequence.picture_spans.back().begin = 0;
    sequence.picture_spans.back().end = count;
  }
  return sequence;
}

void Batch::add(const Sequence& sequence, SequenceCache* cache) {
  const auto sequence_axes =
      sequence.length == 0 ? axes : static_cast<std::int64_t>(sequence.positions.size()) / sequence.length;
  if (rows() == 0) axes = sequence_axes;
  FARTHING_CHECK(axes == sequence_axes, "{} axes beside {}", sequence_axes, axes);
  FARTHING_CHECK(caches.size() == (cache != nullptr ? lengths.size() : 0), "some sequences without a cache");
  lengths.push_back(sequence.length);
  positions.insert(positions.end(), sequence.positions.begin(), sequence.positions.end());
  context_lengths.push_back((cache != nullptr ? cache->length() : 0) + sequence.length);
  if (cache != nullptr) {
    caches.push_back(cache);
    cache->position_shift = sequence.position_shift;
    if (!sequence.picture_spans.empty()) cache->last_pictures = sequence.picture_spans.back();
  }
  if (!sequence.spans.empty() || !spans.empty()) {
    spans.resize(lengths.size());
    spans.back() = sequence.spans;
  }
  if (!sequence.span_features.empty() || !span_features.empty()) {
    span_features.resize(lengths.size());
    span_features.back() = sequence.span_features;
  }
  if (!sequence.picture_spans.empty() || !picture_spans.empty()) {
    picture_states.resize(lengths.size());
    picture_spans.resize(lengths.size());
    picture_states.back() = sequence.picture_states;
    picture_spans.back() = sequence.picture_spans;
  }
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
