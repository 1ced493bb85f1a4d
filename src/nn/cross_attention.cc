#include "nn/cross_attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/attention.h"
#include "nn/names.h"

namespace farthing::nn {

CrossAttention::CrossAttention(const AttentionSpec& spec, const std::string& parent, std::int64_t layer,
                               const WeightSource& source)
    : spec_(spec), layer_(layer) {
  const std::string path = join(parent, spec.name);
  const auto load = [&](const LinearSpec& linear) { return Linear(linear, join(path, linear.name), source); };
  query_ = load(spec.inputs[0]);
  key_ = load(spec.inputs[1]);
  value_ = load(spec.inputs[2]);
  output_ = load(spec.output);
  query_norm_ = Norm(spec.query_norm, path, source);
  key_norm_ = Norm(spec.key_norm, path, source);
}

void CrossAttention::forward(const float* x, float* y, const ForwardContext& context) {
  const Batch& batch = context.batch;
  const std::int64_t rows = batch.rows(), width = query_.out_features();
  FARTHING_REQUIRE(batch.picture_spans.size() == batch.lengths.size(), Code::kInvalidArgument,
                   "the model attends to a sound, and there is none", {{"module", query_.path()}},
                   "a model of speech cannot read texts alone: run it with --audio FILE");
  Linear* query = &query_;
  context.observe({&query, 1}, x, rows);
  float* queries = context.scratch->floats(Scratch::kQuery, rows * width);
  query_.forward(x, rows, queries, context.pool);
  if (query_norm_) query_norm_.forward(queries, rows * spec_.num_heads, queries, context.pool);

  float* attended = context.scratch->floats(Scratch::kAttended, rows * width);
  std::fill(attended, attended + rows * width, 0.0f);
  const kernels::AttentionShape shape{
      .num_heads = spec_.num_heads,
      .num_key_value_heads = spec_.num_key_value_heads,
      .head_dim = spec_.head_dim,
      .scale = spec_.scale != 0.0f ? spec_.scale : 1.0f / std::sqrt(static_cast<float>(spec_.head_dim)),
      .causal = false};
  std::int64_t first = 0;
  for (std::size_t s = 0; s < batch.lengths.size(); first += batch.lengths[s], ++s) {
    if (batch.picture_spans[s].empty()) continue;
    Tensor keys, values;
    const States from = states(s, keys, values, context);
    const std::int64_t stride = key_.out_features();
    for (const PictureSpan& span : batch.picture_spans[s]) {
      FARTHING_CHECK(span.key_end <= from.count, "state {} of {}", span.key_end, from.count);
      kernels::attention(shape, queries + (first + span.begin) * width, width, span.end - span.begin, 0,
                         from.keys + span.key_begin * stride, stride, from.values + span.key_begin * stride,
                         stride, span.key_end - span.key_begin, attended + (first + span.begin) * width,
                         context.pool);
    }
  }
  Linear* output = &output_;
  context.observe({&output, 1}, attended, rows);
  output_.forward(attended, rows, y, context.pool);
}

CrossAttention::States CrossAttention::states(std::size_t sequence, Tensor& keys, Tensor& values,
                                              const ForwardContext& context) {
  const Batch& batch = context.batch;
  const Tensor& pictures = batch.picture_states[sequence];
  KeyValueCache* cache = batch.caches.empty()
                             ? nullptr
                             : &batch.caches[sequence]->cross_layers[static_cast<std::size_t>(layer_)];
  if (!pictures.defined()) {
    FARTHING_CHECK(cache != nullptr);
    return {cache->keys(), cache->values(), cache->length()};
  }
  const std::int64_t count = pictures.dim(0), width = key_.out_features();
  Linear* both[] = {&key_, &value_};
  context.observe(both, pictures.data<float>(), count);
  keys = Tensor::empty(DType::kF32, {count, width});
  values = Tensor::empty(DType::kF32, {count, width});
  key_.forward(pictures.data<float>(), count, keys.mutable_data<float>(), context.pool);
  value_.forward(pictures.data<float>(), count, values.mutable_data<float>(), context.pool);
  if (key_norm_)
    key_norm_.forward(keys.data<float>(), count * spec_.num_key_value_heads, keys.mutable_data<float>(),
                      context.pool);
  if (cache == nullptr) return {keys.data<float>(), values.data<float>(), count};
  cache->truncate(0);
  cache->append(count);
  std::copy_n(keys.data<float>(), count * width, cache->keys());
  std::copy_n(values.data<float>(), count * width, cache->values());
  return {cache->keys(), cache->values(), count};
}

void CrossAttention::append_linears(std::vector<Linear*>& linears) {
  linears.insert(linears.end(), {&query_, &key_, &value_, &output_});
}

std::size_t CrossAttention::num_bytes() const {
  return query_.num_bytes() + key_.num_bytes() + value_.num_bytes() + output_.num_bytes() +
         query_norm_.num_bytes() + key_norm_.num_bytes();
}

}  // namespace farthing::nn
