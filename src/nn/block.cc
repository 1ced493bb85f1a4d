#include "nn/block.h"

#include <optional>

#include "kernels/elementwise.h"
#include "nn/attention.h"
#include "nn/mlp.h"
#include "nn/moe.h"
#include "nn/names.h"
#include "nn/norm.h"

namespace farthing::nn {

struct Block::Parts {
  Parts(const BlockSpec& spec, std::string path, std::int64_t layer, const WeightSource& source)
      : path(std::move(path)),
        residual(spec.residual),
        residual_scale(spec.residual_scale),
        hidden_size(spec.attention.output.out_features),
        attention_norm(spec.attention_norm, this->path, source),
        attention(spec.attention, this->path, layer, source),
        attention_output_norm(spec.attention_output_norm, this->path, source),
        mlp_norm(spec.mlp_norm, this->path, source),
        mlp_output_norm(spec.mlp_output_norm, this->path, source) {
    if (spec.moe) {
      moe.emplace(*spec.moe, this->path, source);
    } else {
      mlp.emplace(spec.mlp, join(this->path, spec.mlp.name), source);
    }
  }

  void feed_forward(const float* x, std::int64_t rows, float* y, const ForwardContext& context) {
    if (moe) {
      moe->forward(x, rows, y, context);
    } else {
      mlp->forward(x, rows, y, context);
    }
  }

  /// hidden += residual_scale * branch.
  void add(float* hidden, float* branch, std::int64_t rows, ThreadPool& pool) const {
    const std::int64_t count = rows * hidden_size;
    if (residual_scale != 1.0f)
      for (std::int64_t i = 0; i < count; ++i) branch[i] *= residual_scale;
    kernels::add(hidden, branch, count, pool);
  }

  void forward_sequential(float* hidden, const ForwardContext& context);
  void forward_parallel(float* hidden, const ForwardContext& context);

  std::string path;
  Residual residual;
  float residual_scale;
  std::int64_t hidden_size;
  Norm attention_norm;
  Attention attention;
  Norm attention_output_norm;
  Norm mlp_norm;
  std::optional<Mlp> mlp;
  std::optional<MixtureOfExperts> moe;
  Norm mlp_output_norm;
};

// Pre-norm (norm what a branch reads) and post-norm (norm the sum), one branch after the other.
void Block::Parts::forward_sequential(float* hidden, const ForwardContext& context) {
  const std::int64_t rows = context.batch.rows();
  float* normed = context.scratch->floats(Scratch::kNormed, rows * hidden_size);
  float* branch = context.scratch->floats(Scratch::kBranch, rows * hidden_size);
  const auto input = [&](const Norm& norm) -> const float* {
    if (residual == Residual::kPostNorm || !norm) return hidden;
    norm.forward(hidden, rows, normed, context.pool);
    return normed;
  };
  const auto finish = [&](const Norm& output_norm, const Norm& norm) {
    if (output_norm) output_norm.forward(branch, rows, branch, context.pool);
    add(hidden, branch, rows, context.pool);
    if (residual == Residual::kPostNorm && norm) norm.forward(hidden, rows, hidden, context.pool);
  };
  attention.forward(input(attention_norm), branch, context);
  finish(attention_output_norm, attention_norm);
  feed_forward(input(mlp_norm), rows, branch, context);
  finish(mlp_output_norm, mlp_norm);
}

void Block::Parts::forward_parallel(float* hidden, const ForwardContext& context) {
  const std::int64_t rows = context.batch.rows(), count = rows * hidden_size;
  float* normed = context.scratch->floats(Scratch::kNormed, count);
  float* branch = context.scratch->floats(Scratch::kBranch, count);
  attention_norm.forward(hidden, rows, normed, context.pool);
  const float* mlp_input = normed;
  if (mlp_norm) {
    float* second = context.scratch->floats(Scratch::kSecondNormed, count);
    mlp_norm.forward(hidden, rows, second, context.pool);
    mlp_input = second;
  }
  attention.forward(normed, branch, context);
  add(hidden, branch, rows, context.pool);
  feed_forward(mlp_input, rows, branch, context);
  add(hidden, branch, rows, context.pool);
}

Block::Block(const BlockSpec& spec, std::string path, std::int64_t layer, const WeightSource& source)
    : parts_(std::make_unique<Parts>(spec, std::move(path), layer, source)) {
  source.release(parts_->path);
}

Block::~Block() = default;
Block::Block(Block&&) noexcept = default;
Block& Block::operator=(Block&&) noexcept = default;

void Block::forward(float* hidden, const ForwardContext& context) {
  if (context.batch.rows() == 0) return;
  Scratch own;
  const ForwardContext inner{context.pool, context.batch, context.observer,
                             context.scratch != nullptr ? context.scratch : &own};
  if (parts_->residual == Residual::kParallel) {
    parts_->forward_parallel(hidden, inner);
  } else {
    parts_->forward_sequential(hidden, inner);
  }
}

const std::string& Block::path() const {
  return parts_->path;
}

std::vector<Linear*> Block::linears() {
  std::vector<Linear*> result;
  parts_->attention.append_linears(result);
  if (parts_->mlp) parts_->mlp->append_linears(result);
  if (parts_->moe) parts_->moe->append_linears(result);
  return result;
}

std::size_t Block::num_bytes() const {
  return parts_->attention_norm.num_bytes() + parts_->attention.num_bytes() +
         parts_->attention_output_norm.num_bytes() + parts_->mlp_norm.num_bytes() +
         parts_->mlp_output_norm.num_bytes() + (parts_->mlp ? parts_->mlp->num_bytes() : 0) +
         (parts_->moe ? parts_->moe->num_bytes() : 0);
}

}  // namespace farthing::nn
