// The rows of one call: how they divide into sequences, where each row stands, and what is kept for later
// calls.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "tensor/tensor.h"

namespace farthing::nn {

/// Keys (after rotation) and values of one layer of one sequence, growing as tokens come.
class KeyValueCache {
 public:
  KeyValueCache(std::int64_t key_width, std::int64_t value_width)
      : key_width_(key_width), value_width_(value_width) {}

  /// Makes room for `count` more rows and returns the index of the first.
  std::int64_t append(std::int64_t count);

  /// Forgets all rows from `length` on.
  void truncate(std::int64_t length);

  std::int64_t length() const { return length_; }
  float* keys() { return keys_.data(); }      // [length, key width]
  float* values() { return values_.data(); }  // [length, value width]
  std::size_t num_bytes() const { return (keys_.capacity() + values_.capacity()) * sizeof(float); }

 private:
  std::int64_t key_width_, value_width_, length_ = 0;
  std::vector<float> keys_, values_;
};

/// Rows [begin, end) of a sequence and the states of pictures (or of a sound) [key_begin, key_end) that they
/// attend to. Rows that belong to no picture attend to all of them, and skip the feed-forward part of the
/// block.
struct PictureSpan {
  std::int64_t begin, end, key_begin, key_end;
  bool belongs = true;
};

/// One cache per layer, for one sequence.
struct SequenceCache {
  std::vector<KeyValueCache> layers;
  std::vector<KeyValueCache> cross_layers;   // of attention to pictures and sounds; empty where there is none
  std::size_t token_layer = 0;               // a layer whose cache grows with every token
  std::optional<PictureSpan> last_pictures;  // what the tokens to come attend to
  std::int64_t position_shift = 0;  // a token's position minus its index, where pictures take fewer positions

  std::int64_t length() const { return layers.empty() ? 0 : layers[token_layer].length(); }
  std::size_t num_bytes() const;
};

/// Rows [begin, end) of a sequence that see its keys [0, key_end), later ones among them.
struct RowSpan {
  std::int64_t begin, end, key_end;
};

/// The rows that one sequence brings to a call.
struct Sequence {
  std::int64_t length = 0;
  std::vector<std::int64_t> positions;  // [length, axes]
  std::int64_t position_shift = 0;      // of the tokens that will follow
  std::vector<RowSpan> spans;           // in order, without overlap: pictures whose rows see each other
  std::vector<Tensor> span_features;    // per block: [rows of the spans, H], added after it
  Tensor picture_states;                // [states, H] for cross attention; none when the cache has their keys
  std::vector<PictureSpan> picture_spans;

  /// `length` tokens from position 0 on, on every axis.
  static Sequence of(std::int64_t length, std::int64_t axes = 1);
  /// The next `count` tokens of a sequence.
  static Sequence after(const SequenceCache& cache, std::int64_t count, std::int64_t axes = 1);
};

struct Batch {
  std::vector<std::int64_t> lengths;    // rows of each sequence in this call
  std::int64_t axes = 1;                // of a position: 1, or time, row and column
  std::vector<std::int64_t> positions;  // [rows, axes]
  std::vector<SequenceCache*> caches;   // per sequence; empty when nothing is kept
  // Per sequence, how long it is after this call: rope scaling follows it. Empty: the largest position, plus
  // one.
  std::vector<std::int64_t> context_lengths;
  std::vector<std::vector<RowSpan>> spans;  // per sequence; empty when none has any
  std::vector<std::vector<Tensor>> span_features;
  std::vector<Tensor> picture_states;  // the same, as are the spans
  std::vector<std::vector<PictureSpan>> picture_spans;

  std::int64_t rows() const;

  /// Adds a sequence, which starts at the end of its cache; without one, at 0.
  void add(const Sequence& sequence, SequenceCache* cache = nullptr);

  /// Sequences that start at position 0, without caches.
  static Batch of(std::vector<std::int64_t> lengths);
};

}  // namespace farthing::nn
