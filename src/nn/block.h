// A transformer block that can be run and watched. Sequences of different lengths are computed together: their rows lie
// one after the other, linears run over all of them at once, attention runs sequence by sequence, and no padding exists.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "nn/linear.h"

namespace farthing::nn {

/// Keys (after rotation) and values of one layer of one sequence, growing as tokens come.
class KeyValueCache {
 public:
  KeyValueCache(std::int64_t key_width, std::int64_t value_width) : key_width_(key_width), value_width_(value_width) {}
  /// Makes room for `count` more rows and returns where they start.
  void append(std::int64_t count);
  void truncate(std::int64_t length);
  std::int64_t length() const { return length_; }
  float* keys() { return keys_.data(); }
  float* values() { return values_.data(); }
  std::size_t num_bytes() const { return (keys_.capacity() + values_.capacity()) * sizeof(float); }

 private:
  std::int64_t key_width_, value_width_, length_ = 0;
  std::vector<float> keys_, values_;
};

/// One cache per layer, for one sequence.
struct SequenceCache {
  std::vector<KeyValueCache> layers;
  std::int64_t length() const { return layers.empty() ? 0 : layers.front().length(); }
  std::size_t num_bytes() const;
};

/// The rows of a batch: how they divide into sequences and where each stands.
struct Batch {
  std::vector<std::int64_t> lengths;       // rows of each sequence in this call
  std::vector<std::int64_t> positions;     // [rows], or [axes * rows] axis by axis for mrope
  std::vector<SequenceCache*> caches;      // per sequence; empty when nothing is kept
  std::vector<std::int64_t> context_lengths;  // per sequence, rows known after this call (rope scaling follows the longest position)
  std::vector<std::uint8_t> image_rows;    // [rows]; set where Gemma-like masks need it, else empty
  std::int64_t rows() const;
  /// Sequences that start at position 0, without caches.
  static Batch of(std::vector<std::int64_t> lengths);
};

/// Called before every group of linears that share an input, with that input: where calibration listens.
/// `x` is [rows, linears[0]->in_features()].
using InputObserver = std::function<void(std::span<Linear* const> linears, const float* x, std::int64_t rows)>;

struct ForwardContext {
  ThreadPool& pool;
  const Batch& batch;
  const InputObserver* observer = nullptr;
};

class Block {
 public:
  /// Loads the block's weights. `path` is canonical: "model.layers.3". `layer` indexes the caches.
  Block(const BlockSpec& spec, std::string path, std::int64_t layer, const WeightSource& source);
  ~Block();
  Block(Block&&) noexcept;
  Block& operator=(Block&&) noexcept;

  /// hidden [rows, H], in place.
  void forward(float* hidden, const ForwardContext& context);

  const std::string& path() const;
  /// Every linear, in the order in which they compute (q, k, v, o, gate, up, down).
  std::vector<Linear*> linears();
  std::size_t num_bytes() const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace farthing::nn
