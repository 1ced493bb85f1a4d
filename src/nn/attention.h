// Self-attention with grouped heads, whatever the layout of its projections, with or without rotation, head
// norms, window, ALiBi and cache.
#pragma once

#include <string>
#include <vector>

#include "nn/forward_context.h"
#include "nn/latent_projection.h"
#include "nn/norm.h"

namespace farthing::nn {

class Attention {
 public:
  /// Loads PARENT.NAME.*; `layer` is the index of its caches.
  Attention(const AttentionSpec& spec, const std::string& parent, std::int64_t layer,
            const WeightSource& source);

  /// y [rows, H] = attention(x [rows, H]). Needs context.scratch. x and y do not overlap.
  void forward(const float* x, float* y, const ForwardContext& context);

  /// From now on keys and values are what a quantized cache would give back.
  void set_cache_quantization(std::optional<scheme::ActivationQuantization> keys,
                              std::optional<scheme::ActivationQuantization> values) {
    key_quantization_ = std::move(keys);
    value_quantization_ = std::move(values);
  }

  /// q, k, v (or the fused one), o.
  void append_linears(std::vector<Linear*>& linears);
  std::size_t num_bytes() const;

 private:
  /// Rows of queries, keys and values with their distances in floats.
  struct Heads {
    float *query, *key, *value;
    std::int64_t query_stride, key_stride, value_stride;
  };

  Heads project(const float* x, const ForwardContext& context);
  Heads project_separate(const float* x, std::int64_t rows, const ForwardContext& context);
  Heads project_latent(const float* x, std::int64_t rows, const ForwardContext& context);
  Heads split_groups(const float* fused, std::int64_t rows, const ForwardContext& context) const;
  void normalize_heads(const Norm& norm, const Tensor& head_weights, float* heads, std::int64_t rows,
                       std::int64_t num_heads, ThreadPool& pool) const;
  /// Keys and values as a quantized cache holds them.
  void quantize_keys_and_values(const Heads& heads, const ForwardContext& context) const;
  void normalize(const Heads& heads, const ForwardContext& context) const;
  void limit(const Heads& heads, const ForwardContext& context) const;
  void rotate(const Heads& heads, const ForwardContext& context) const;
  void grow_queries(const Heads& heads, const ForwardContext& context) const;
  void attend(const Heads& heads, float* out, const ForwardContext& context) const;

  AttentionSpec spec_;
  std::string path_;
  std::int64_t layer_;
  std::vector<Linear> inputs_;
  Linear output_;
  Norm query_norm_, key_norm_;
  Tensor query_head_weights_, key_head_weights_;  // F32 [heads, D], where every head has its own
  std::optional<LatentProjection> latent_;
  Tensor sinks_;  // F32 [heads]
  std::optional<scheme::ActivationQuantization> key_quantization_, value_quantization_;
  std::vector<float> alibi_slopes_;
};

}  // namespace farthing::nn
