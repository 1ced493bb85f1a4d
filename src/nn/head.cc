#include "nn/head.h"

#include <cmath>

#include "nn/names.h"

namespace farthing::nn {
namespace {

Linear load_head(const DecoderSpec& spec, const EmbeddingTable& embedding, const WeightSource& source) {
  if (!spec.tie_word_embeddings) return Linear(spec.head(), spec.lm_head, source);
  return Linear(
      spec.lm_head, embedding.weight(),
      spec.lm_head_bias ? read_float32(source, spec.lm_head + ".bias", {spec.vocab_size}).clone() : Tensor());
}

}  // namespace

FinalNorm::FinalNorm(const DecoderSpec& spec, const WeightSource& source)
    : norm_(spec.final_norm, spec.path, source) {
  if (spec.project_out)
    project_out_ = Linear(*spec.project_out, join(spec.path, spec.project_out->name), source);
}

Tensor FinalNorm::forward(const Tensor& hidden, ThreadPool& pool) const {
  const std::int64_t rows = hidden.dim(0);
  Tensor normed = hidden;
  if (norm_) {
    normed = Tensor::empty(DType::kF32, hidden.shape());
    norm_.forward(hidden.data<float>(), rows, normed.mutable_data<float>(), pool);
  }
  if (!project_out_) return normed;
  Tensor projected = Tensor::empty(DType::kF32, {rows, project_out_.out_features()});
  project_out_.forward(normed.data<float>(), rows, projected.mutable_data<float>(), pool);
  return projected;
}

Head::Head(const DecoderSpec& spec, const EmbeddingTable& embedding, const WeightSource& source)
    : linear_(load_head(spec, embedding, source)), scale_(spec.logit_scale), softcap_(spec.logit_softcap) {}

Tensor Head::forward(const Tensor& final_hidden, ThreadPool& pool) const {
  const std::int64_t rows = final_hidden.dim(0), vocab_size = linear_.out_features();
  Tensor logits = Tensor::empty(DType::kF32, {rows, vocab_size});
  float* values = logits.mutable_data<float>();
  linear_.forward(final_hidden.data<float>(), rows, values, pool);
  if (scale_ == 1.0f && softcap_ == 0.0f) return logits;
  pool.parallel_for(rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin * vocab_size; i < end * vocab_size; ++i) {
      values[i] *= scale_;
      if (softcap_ != 0.0f) values[i] = softcap_ * std::tanh(values[i] / softcap_);
    }
  });
  return logits;
}

}  // namespace farthing::nn
