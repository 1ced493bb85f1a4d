#include "nn/attention.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/attention.h"
#include "kernels/elementwise.h"
#include "nn/names.h"

namespace farthing::nn {
namespace {

// Press et al., 2021, arXiv 2108.12409: 2^(-8i/c), i = 1 .. c for c heads, a power of two; the remaining
// heads take every other slope of twice as many.
std::vector<float> alibi_slopes(std::int64_t num_heads, float scale) {
  const auto power = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(num_heads)));
  std::vector<float> slopes;
  for (std::int64_t i = 1; i <= power; ++i)
    slopes.push_back(
        scale * static_cast<float>(std::exp2(-8.0 * static_cast<double>(i) / static_cast<double>(power))));
  for (std::int64_t i = 1; static_cast<std::int64_t>(slopes.size()) < num_heads; i += 2)
    slopes.push_back(
        scale * static_cast<float>(std::exp2(-4.0 * static_cast<double>(i) / static_cast<double>(power))));
  return slopes;
}

void copy_rows(const float* from, std::int64_t stride, std::int64_t rows, std::int64_t width, float* to) {
  for (std::int64_t row = 0; row < rows; ++row) std::copy_n(from + row * stride, width, to + row * width);
}

// With weights per head, the norm itself runs without weights and has no name in the file.
NormSpec without_weight(NormSpec spec) {
  spec.weight = spec.bias = false;
  return spec;
}

std::vector<Linear*> pointers(std::vector<Linear>& linears) {
  std::vector<Linear*> result;
  for (Linear& linear : linears) result.push_back(&linear);
  return result;
}

// The weights of all heads, [heads, D]; undefined when they share them.
Tensor load_head_weights(const NormSpec& norm, HeadNormWeights form, std::int64_t num_heads,
                         const std::string& parent, const WeightSource& source) {
  if (!norm || form == HeadNormWeights::kShared) return {};
  const std::string path = join(parent, norm.name);
  if (form == HeadNormWeights::kMatrix)
    return read_float32(source, path + ".weight", {num_heads, norm.size}).clone();
  Tensor weights = Tensor::empty(DType::kF32, {num_heads, norm.size});
  for (std::int64_t head = 0; head < num_heads; ++head) {
    const Tensor row = read_float32(source, join(path, head) + ".weight", {norm.size});
    std::copy_n(row.data<float>(), norm.size, weights.mutable_data<float>() + head * norm.size);
  }
  return weights;
}

}  // namespace

Attention::Attention(const AttentionSpec& spec, const std::string& parent, std::int64_t layer,
                     const WeightSource& source)
    : spec_(spec), path_(join(parent, spec.name)), layer_(layer) {
  const std::string& path = path_;
  for (const LinearSpec& input : spec.inputs) inputs_.emplace_back(input, join(path, input.name), source);
  output_ = Linear(spec.output, join(path, spec.output.name), source);
  const bool own_weights = spec.head_norm_weights != HeadNormWeights::kShared;
  query_head_weights_ =
      load_head_weights(spec.query_norm, spec.head_norm_weights, spec.num_heads, path, source);
  key_head_weights_ =
      load_head_weights(spec.key_norm, spec.head_norm_weights, spec.num_key_value_heads, path, source);
  query_norm_ = Norm(own_weights ? without_weight(spec.query_norm) : spec.query_norm, path, source);
  key_norm_ = Norm(own_weights ? without_weight(spec.key_norm) : spec.key_norm, path, source);
  if (spec.latent) latent_.emplace(spec, path, source);
  if (!spec.sinks.empty()) sinks_ = read_float32(source, join(path, spec.sinks), {spec.num_heads}).clone();
  key_quantization_ = source.activation(path, scheme::ActivationSite::kKeys);
  value_quantization_ = source.activation(path, scheme::ActivationSite::kValues);
  if (spec.alibi_scale != 0.0f) alibi_slopes_ = alibi_slopes(spec.num_heads, spec.alibi_scale);
}

void Attention::forward(const float* x, float* y, const ForwardContext& context) {
  const std::int64_t rows = context.batch.rows();
  const Heads heads = project(x, context);
  if (!spec_.norm_after_rotation) normalize(heads, context);
  if (spec_.projection_limit != 0.0f) limit(heads, context);
  if (spec_.rope) rotate(heads, context);
  if (spec_.norm_after_rotation) normalize(heads, context);
  if (spec_.query_growth) grow_queries(heads, context);
  quantize_keys_and_values(heads, context);
  float* attended = context.scratch->floats(Scratch::kAttended, rows * spec_.num_heads * spec_.value_dim());
  attend(heads, attended, context);
  Linear* output = &output_;
  context.observe({&output, 1}, attended, rows);
  output_.forward(attended, rows, y, context.pool);
}

Attention::Heads Attention::project(const float* x, const ForwardContext& context) {
  const std::int64_t rows = context.batch.rows();
  context.observe(pointers(inputs_), x, rows);
  if (latent_) return project_latent(x, rows, context);
  if (spec_.layout == QkvLayout::kSeparate) return project_separate(x, rows, context);

  const Linear& input = inputs_.front();
  const std::int64_t width = input.out_features();
  float* fused = context.scratch->floats(Scratch::kProjected, rows * width);
  input.forward(x, rows, fused, context.pool);
  if (spec_.layout != QkvLayout::kConcatenated) return split_groups(fused, rows, context);
  float* key = fused + spec_.num_heads * spec_.head_dim;
  return {fused, key, key + spec_.num_key_value_heads * spec_.head_dim, width, width, width};
}

Attention::Heads Attention::project_separate(const float* x, std::int64_t rows,
                                             const ForwardContext& context) {
  constexpr Scratch::Use kUses[] = {Scratch::kQuery, Scratch::kKey, Scratch::kValue};
  float* results[3];
  for (std::size_t i = 0; i < 3; ++i) {
    results[i] = context.scratch->floats(kUses[i], rows * inputs_[i].out_features());
    inputs_[i].forward(x, rows, results[i], context.pool);
  }
  return {results[0],
          results[1],
          results[2],
          inputs_[0].out_features(),
          inputs_[1].out_features(),
          inputs_[2].out_features()};
}

Attention::Heads Attention::project_latent(const float* x, std::int64_t rows, const ForwardContext& context) {
  const std::int64_t query_width = spec_.num_heads * spec_.head_dim;
  Scratch& scratch = *context.scratch;
  float* query = scratch.floats(Scratch::kProjected, rows * inputs_[0].out_features());
  float* key_value = scratch.floats(Scratch::kKeyValueLatent, rows * inputs_[1].out_features());
  inputs_[0].forward(x, rows, query, context.pool);
  inputs_[1].forward(x, rows, key_value, context.pool);
  const Heads heads{scratch.floats(Scratch::kQuery, rows * query_width),
                    scratch.floats(Scratch::kKey, rows * spec_.key_width()),
                    scratch.floats(Scratch::kValue, rows * spec_.value_width()),
                    query_width,
                    spec_.key_width(),
                    spec_.value_width()};
  latent_->forward(query, key_value, rows, heads.query, heads.key, heads.value, context);
  return heads;
}

// [kv heads, (the group's q heads, k, v), D] to three matrices. kPerHead is the case of one q head per group.
Attention::Heads Attention::split_groups(const float* fused, std::int64_t rows,
                                         const ForwardContext& context) const {
  const std::int64_t groups = spec_.num_key_value_heads;
  const std::int64_t query_width = spec_.num_heads / groups * spec_.head_dim, width = spec_.head_dim;
  float* query = context.scratch->floats(Scratch::kQuery, rows * groups * query_width);
  float* key = context.scratch->floats(Scratch::kKey, rows * groups * width);
  float* value = context.scratch->floats(Scratch::kValue, rows * groups * width);
  context.pool.parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * groups; i < end * groups; ++i) {
      const float* group = fused + i * (query_width + 2 * width);
      std::copy_n(group, query_width, query + i * query_width);
      std::copy_n(group + query_width, width, key + i * width);
      std::copy_n(group + query_width + width, width, value + i * width);
    }
  });
  return {query, key, value, groups * query_width, groups * width, groups * width};
}

void Attention::normalize_heads(const Norm& norm, const Tensor& head_weights, float* heads, std::int64_t rows,
                                std::int64_t num_heads, ThreadPool& pool) const {
  if (!norm) return;
  norm.forward(heads, rows * num_heads * spec_.head_dim / norm.size(), heads, pool);
  if (!head_weights.defined()) return;
  const float* weights = head_weights.data<float>();
  const std::int64_t width = num_heads * spec_.head_dim;
  pool.parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row)
      for (std::int64_t i = 0; i < width; ++i) heads[row * width + i] *= weights[i];
  });
}

void Attention::normalize(const Heads& heads, const ForwardContext& context) const {
  const std::int64_t rows = context.batch.rows();
  normalize_heads(query_norm_, query_head_weights_, heads.query, rows, spec_.num_heads, context.pool);
  normalize_heads(key_norm_, key_head_weights_, heads.key, rows, spec_.num_key_value_heads, context.pool);
}

void Attention::limit(const Heads& heads, const ForwardContext& context) const {
  const float largest = spec_.projection_limit;
  const auto cut = [&](float* x, std::int64_t stride, std::int64_t width) {
    for (std::int64_t row = 0; row < context.batch.rows(); ++row)
      for (std::int64_t i = 0; i < width; ++i)
        x[row * stride + i] = std::clamp(x[row * stride + i], -largest, largest);
  };
  cut(heads.query, heads.query_stride, spec_.num_heads * spec_.head_dim);
  cut(heads.key, heads.key_stride, spec_.key_width());
  cut(heads.value, heads.value_stride, spec_.value_width());
}

void Attention::grow_queries(const Heads& heads, const ForwardContext& context) const {
  const Batch& batch = context.batch;
  const QueryGrowth& growth = *spec_.query_growth;
  for (std::int64_t row = 0; row < batch.rows(); ++row) {
    const auto position = static_cast<double>(batch.positions[static_cast<std::size_t>(row * batch.axes)]);
    const double steps = std::floor((position + growth.offset) / growth.length);
    const auto factor = static_cast<float>(1.0 + growth.scale * std::log1p(steps));
    for (std::int64_t i = 0; i < spec_.num_heads * spec_.head_dim; ++i)
      heads.query[row * heads.query_stride + i] *= factor;
  }
}

void Attention::rotate(const Heads& heads, const ForwardContext& context) const {
  const std::int64_t rotary_dim = spec_.rope->rotary_dim == 0 ? spec_.head_dim : spec_.rope->rotary_dim;
  const RotaryTables::Table& table =
      context.scratch->rotary_tables().get(*spec_.rope, rotary_dim, context.batch, context.pool);
  const auto turn = [&](float* x, std::int64_t stride, std::int64_t num_heads) {
    kernels::rotate(x, context.batch.rows(), stride, num_heads, spec_.head_dim, rotary_dim, spec_.rope->style,
                    table.cosine.data(), table.sine.data(), context.pool);
  };
  turn(heads.query, heads.query_stride, spec_.num_heads);
  turn(heads.key, heads.key_stride, spec_.num_key_value_heads);
}

void Attention::quantize_keys_and_values(const Heads& heads, const ForwardContext& context) const {
  const std::int64_t rows = context.batch.rows();
  if (context.cache_observer != nullptr && *context.cache_observer) {
    (*context.cache_observer)({path_, heads.key, heads.value, heads.key_stride, heads.value_stride, rows,
                               spec_.num_key_value_heads, spec_.head_dim, spec_.value_dim()});
  }
  const auto quantize = [&](const auto& quantization, float* x, std::int64_t stride, std::int64_t width) {
    if (quantization) scheme::fake_quantize(*quantization, x, stride, rows, width, x, stride, context.pool);
  };
  quantize(key_quantization_, heads.key, heads.key_stride, spec_.key_width());
  quantize(value_quantization_, heads.value, heads.value_stride, spec_.value_width());
}

void Attention::attend(const Heads& heads, float* out, const ForwardContext& context) const {
  kernels::AttentionShape shape{
      .num_heads = spec_.num_heads,
      .num_key_value_heads = spec_.num_key_value_heads,
      .head_dim = spec_.head_dim,
      .value_dim = spec_.value_dim(),
      .scale = spec_.scale != 0.0f ? spec_.scale : 1.0f / std::sqrt(static_cast<float>(spec_.head_dim)),
      .softcap = spec_.softcap,
      .causal = spec_.causal,
      .window = spec_.sliding_window,
      .alibi_slopes = alibi_slopes_.empty() ? nullptr : alibi_slopes_.data(),
      .sinks = sinks_.defined() ? sinks_.data<float>() : nullptr};
  const std::int64_t key_width = spec_.key_width(), value_width = spec_.value_width();
  const Batch& batch = context.batch;
  std::int64_t row = 0;
  for (std::size_t s = 0; s < batch.lengths.size(); ++s) {
    const std::int64_t length = batch.lengths[s];
    const float* key = heads.key + row * heads.key_stride;
    const float* value = heads.value + row * heads.value_stride;
    std::int64_t key_stride = heads.key_stride, value_stride = heads.value_stride, past = 0;
    if (!batch.caches.empty() && batch.caches[s] != nullptr) {
      KeyValueCache& cache = batch.caches[s]->layers[static_cast<std::size_t>(layer_)];
      past = cache.append(length);
      copy_rows(key, key_stride, length, key_width, cache.keys() + past * key_width);
      copy_rows(value, value_stride, length, value_width, cache.values() + past * value_width);
      key = cache.keys();
      value = cache.values();
      key_stride = key_width;
      value_stride = value_width;
    }
    // A chunk is a sequence of its own, whose first key is key 0.
    const auto rows_see = [&](std::int64_t begin, std::int64_t end, std::int64_t key_end, bool causal) {
      shape.causal = causal;
      while (begin < end) {
        const std::int64_t first = spec_.chunk == 0 ? 0 : (past + begin) / spec_.chunk * spec_.chunk;
        const std::int64_t last = spec_.chunk == 0 ? end : std::min(end, first + spec_.chunk - past);
        const std::int64_t keys = spec_.chunk == 0 ? key_end : std::min(key_end, first + spec_.chunk);
        kernels::attention(shape, heads.query + (row + begin) * heads.query_stride, heads.query_stride,
                           last - begin, past + begin - first, key + first * key_stride, key_stride,
                           value + first * value_stride, value_stride, keys - first,
                           out + (row + begin) * spec_.num_heads * spec_.value_dim(), context.pool);
        begin = last;
      }
    };
    std::int64_t done = 0;
    if (spec_.two_way_spans && !batch.spans.empty())
      for (const RowSpan& span : batch.spans[s]) {
        rows_see(done, span.begin, past + span.begin, spec_.causal);
        rows_see(span.begin, span.end, past + span.key_end, false);
        done = span.end;
      }
    rows_see(done, length, past + length, spec_.causal);
    row += length;
  }
}

void Attention::append_linears(std::vector<Linear*>& linears) {
  for (Linear& input : inputs_) linears.push_back(&input);
  if (latent_) latent_->append_linears(linears);
  linears.push_back(&output_);
}

std::size_t Attention::num_bytes() const {
  std::size_t sum = output_.num_bytes() + query_norm_.num_bytes() + key_norm_.num_bytes() +
                    query_head_weights_.num_bytes() + key_head_weights_.num_bytes() + sinks_.num_bytes() +
                    (latent_ ? latent_->num_bytes() : 0);
  for (const Linear& input : inputs_) sum += input.num_bytes();
  return sum;
}

}  // namespace farthing::nn
