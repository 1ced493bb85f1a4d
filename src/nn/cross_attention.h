// Attention of text to the states of pictures: queries from the text, keys and values from the pictures, kept
// in the cache once they are computed. No rotation, no mask but the batch's spans.
#pragma once

#include <string>
#include <vector>

#include "nn/forward_context.h"
#include "nn/norm.h"

namespace farthing::nn {

class CrossAttention {
 public:
  /// Loads PARENT.NAME.*; `layer` is the index of its caches.
  CrossAttention(const AttentionSpec& spec, const std::string& parent, std::int64_t layer,
                 const WeightSource& source);

  /// y [rows, H] = attention of x [rows, H] to the batch's picture states. Rows without pictures give what an
  /// attention to nothing gives: the output's bias, or zeros. Needs context.scratch.
  void forward(const float* x, float* y, const ForwardContext& context);

  /// q, k, v, o.
  void append_linears(std::vector<Linear*>& linears);
  std::size_t num_bytes() const;

 private:
  struct States {
    const float *keys, *values;
    std::int64_t count;
  };

  /// Keys and values of a sequence, new or from its cache.
  States states(std::size_t sequence, Tensor& keys, Tensor& values, const ForwardContext& context);

  AttentionSpec spec_;
  std::int64_t layer_;
  Linear query_, key_, value_, output_;
  Norm query_norm_, key_norm_;
};

}  // namespace farthing::nn
