// From the last block's output to logits.
#pragma once

#include "nn/embedding.h"

namespace farthing::nn {

/// Final norm and project_out.
class FinalNorm {
 public:
  FinalNorm(const DecoderSpec& spec, const WeightSource& source);

  /// Returns [rows, H], or [rows, embedding size] where there is a project_out.
  Tensor forward(const Tensor& hidden, ThreadPool& pool) const;

  std::size_t num_bytes() const { return norm_.num_bytes() + project_out_.num_bytes(); }

 private:
  Norm norm_;
  Linear project_out_;
};

/// The language-model head with what some families do to its logits.
class Head {
 public:
  /// Loads the head, or shares the embedding's weight when they are tied.
  Head(const DecoderSpec& spec, const EmbeddingTable& embedding, const WeightSource& source);

  /// [rows, V] from [rows, width].
  Tensor forward(const Tensor& final_hidden, ThreadPool& pool) const;

  Linear& linear() { return linear_; }
  std::size_t num_bytes() const { return linear_.num_bytes(); }

 private:
  Linear linear_;
  float scale_, softcap_;
};

}  // namespace farthing::nn
