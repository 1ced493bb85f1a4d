// What latent attention has beyond the linears that read the block's input: from narrow latents to the heads.
#pragma once

#include <string>
#include <vector>

#include "nn/forward_context.h"
#include "nn/norm.h"

namespace farthing::nn {

class LatentProjection {
 public:
  /// Loads what AttentionSpec::latent declares below the attention at `path`.
  LatentProjection(const AttentionSpec& spec, const std::string& path, const WeightSource& source);

  /// `query` [rows, ...] and `latent` [rows, L + R] are what the attention's inputs computed; both are
  /// changed. Fills dense rows of queries and keys [heads * D] and values [heads * V]. The rotated part of a
  /// head comes first, where rotations start; scores do not see the order.
  void forward(float* query, float* latent, std::int64_t rows, float* queries, float* keys, float* values,
               const ForwardContext& context);

  /// The query's linear, if there is one, and that of keys and values.
  void append_linears(std::vector<Linear*>& linears);
  std::size_t num_bytes() const;

 private:
  void lay_out_queries(const float* query, std::int64_t rows, float* queries, ThreadPool& pool) const;
  void lay_out_keys_and_values(const float* expanded, const float* latent, std::int64_t rows, float* keys,
                               float* values, ThreadPool& pool) const;

  LatentSpec spec_;
  std::int64_t num_heads_, rotated_dim_, value_dim_;
  Norm query_norm_, key_value_norm_;
  Linear query_, key_value_;
};

}  // namespace farthing::nn
