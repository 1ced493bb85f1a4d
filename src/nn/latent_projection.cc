#include "nn/latent_projection.h"

#include <algorithm>

#include "nn/names.h"

namespace farthing::nn {
namespace {

constexpr std::int64_t kRowsPerPiece = 16;

}  // namespace

LatentProjection::LatentProjection(const AttentionSpec& spec, const std::string& path,
                                   const WeightSource& source)
    : spec_(*spec.latent),
      num_heads_(spec.num_heads),
      rotated_dim_(spec.head_dim - spec_.plain_dim),
      value_dim_(spec.value_dim()),
      query_norm_(spec_.query_norm, path, source),
      key_value_norm_(spec_.key_value_norm, path, source),
      key_value_(spec_.key_value, join(path, spec_.key_value.name), source) {
  if (spec_.query) query_ = Linear(*spec_.query, join(path, spec_.query->name), source);
}

void LatentProjection::forward(float* query, float* latent, std::int64_t rows, float* queries, float* keys,
                               float* values, const ForwardContext& context) {
  Scratch& scratch = *context.scratch;
  if (query_) {
    query_norm_.forward(query, rows, query, context.pool);
    Linear* linear = &query_;
    context.observe({&linear, 1}, query, rows);
    float* wide = scratch.floats(Scratch::kExpanded, rows * query_.out_features());
    query_.forward(query, rows, wide, context.pool);
    query = wide;
  }
  lay_out_queries(query, rows, queries, context.pool);

  float* normed = scratch.floats(Scratch::kNormedLatent, rows * spec_.rank);
  const std::int64_t width = spec_.rank + rotated_dim_;
  for (std::int64_t row = 0; row < rows; ++row)
    std::copy_n(latent + row * width, spec_.rank, normed + row * spec_.rank);
  key_value_norm_.forward(normed, rows, normed, context.pool);
  Linear* linear = &key_value_;
  context.observe({&linear, 1}, normed, rows);
  float* expanded = scratch.floats(Scratch::kExpanded, rows * key_value_.out_features());
  key_value_.forward(normed, rows, expanded, context.pool);
  lay_out_keys_and_values(expanded, latent, rows, keys, values, context.pool);
}

void LatentProjection::lay_out_queries(const float* query, std::int64_t rows, float* queries,
                                       ThreadPool& pool) const {
  const std::int64_t plain = spec_.plain_dim, head_dim = plain + rotated_dim_;
  pool.parallel_for(rows, kRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t head = begin * num_heads_; head < end * num_heads_; ++head) {
      const float* from = query + head * head_dim;
      float* to = std::copy_n(from + plain, rotated_dim_, queries + head * head_dim);
      std::copy_n(from, plain, to);
    }
  });
}

void LatentProjection::lay_out_keys_and_values(const float* expanded, const float* latent, std::int64_t rows,
                                               float* keys, float* values, ThreadPool& pool) const {
  const std::int64_t plain = spec_.plain_dim, head_dim = plain + rotated_dim_;
  pool.parallel_for(rows, kRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t head = begin * num_heads_; head < end * num_heads_; ++head) {
      const float* from = expanded + head * (plain + value_dim_);
      const float* rotated = latent + head / num_heads_ * (spec_.rank + rotated_dim_) + spec_.rank;
      float* to = std::copy_n(rotated, rotated_dim_, keys + head * head_dim);
      std::copy_n(from, plain, to);
      std::copy_n(from + plain, value_dim_, values + head * value_dim_);
    }
  });
}

void LatentProjection::append_linears(std::vector<Linear*>& linears) {
  if (query_) linears.push_back(&query_);
  linears.push_back(&key_value_);
}

std::size_t LatentProjection::num_bytes() const {
  return query_norm_.num_bytes() + key_value_norm_.num_bytes() + query_.num_bytes() + key_value_.num_bytes();
}

}  // namespace farthing::nn
