// Rotary position embedding: the frequencies of every length extension (models-and-tokenizers 0.4), and the
// cosines and sines of a batch.
#pragma once

#include <vector>

#include "base/thread_pool.h"
#include "nn/batch.h"
#include "nn/declaration.h"

namespace farthing::nn {

/// Returns the `rotary_dim / 2` frequencies for a sequence of `context_length` tokens. Only the scalings that
/// follow the length (dynamic, longrope) look at it.
std::vector<float> inverse_frequencies(const RopeSpec& spec, std::int64_t rotary_dim,
                                       std::int64_t context_length);

/// Factor of both cosines and sines (yarn, longrope); 1 for the others.
float attention_factor(const RopeSpec& spec);

/// True when keys rotated for a sequence of `before` tokens are still right when it has grown to `after`:
/// false where longrope passes from its short to its long factors, so that a cache must be built anew.
/// Dynamic scaling keeps its keys by definition.
bool keys_stay_valid(const RopeSpec& spec, std::int64_t before, std::int64_t after);

/// Cosines and sines of a batch, computed once for all layers that share a RopeSpec.
class RotaryTables {
 public:
  struct Table {
    RopeSpec spec;
    std::int64_t rotary_dim = 0;
    std::vector<std::int64_t> lengths, positions, context_lengths;  // of the batch it was computed for
    std::vector<float> cosine, sine;                                // [rows, rotary_dim / 2]
  };

  /// The reference is valid until the next call.
  const Table& get(const RopeSpec& spec, std::int64_t rotary_dim, const Batch& batch, ThreadPool& pool);

 private:
  std::vector<Table> tables_;
};

}  // namespace farthing::nn
