#include "nn/block.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "kernels/elementwise.h"
#include "nn/attention.h"
#include "nn/cross_attention.h"
#include "nn/mlp.h"
#include "nn/moe.h"
#include "nn/names.h"
#include "nn/norm.h"

namespace farthing::nn {
namespace {

// One factor per channel; none without a learned scale.
std::vector<float> load_scale(const BranchScale& spec, std::int64_t hidden_size, const std::string& path,
                              const WeightSource& source) {
  if (!spec) return {};
  const Tensor parameter = read_float32(source, join(path, spec.name), {spec.size});
  std::vector<float> scale(static_cast<std::size_t>(hidden_size));
  for (std::size_t i = 0; i < scale.size(); ++i) scale[i] = parameter.data<float>()[spec.size == 1 ? 0 : i];
  if (spec.tanh)
    for (float& value : scale) value = std::tanh(value);
  return scale;
}

// The block's attention to pictures or sounds, whether it is the only one or the second.
const AttentionSpec* cross_attention_of(const BlockSpec& spec) {
  if (spec.attention.cross) return &spec.attention;
  return spec.cross_attention ? &*spec.cross_attention : nullptr;
}

}  // namespace

struct Block::Parts {
  Parts(const BlockSpec& spec, std::string path, std::int64_t layer, const WeightSource& source)
      : path(std::move(path)),
        layer(static_cast<std::size_t>(layer)),
        residual(spec.residual),
        residual_scale(spec.residual_scale),
        hidden_size(spec.attention.output.out_features),
        attention_norm(spec.attention_norm, this->path, source),
        attention_output_norm(spec.attention_output_norm, this->path, source),
        cross_attention_norm(spec.cross_attention_norm, this->path, source),
        mlp_norm(spec.mlp_norm, this->path, source),
        attention_path(join(this->path, spec.attention.name)),
        mlp_path(join(this->path, spec.moe ? spec.moe->name : spec.mlp.name)),
        mlp_output_norm(spec.mlp_output_norm, this->path, source),
        attention_scale(load_scale(spec.attention_scale, hidden_size, this->path, source)),
        mlp_scale(load_scale(spec.mlp_scale, hidden_size, this->path, source)) {
    if (!spec.attention.cross) attention.emplace(spec.attention, this->path, layer, source);
    if (const AttentionSpec* cross = cross_attention_of(spec)) {
      cross_attention.emplace(*cross, this->path, layer, source);
      cross_attention_path = join(this->path, cross->name);
    }
    if (spec.moe) {
      moe.emplace(*spec.moe, this->path, source);
    } else {
      mlp.emplace(spec.mlp, join(this->path, spec.mlp.name), source);
    }
  }

  // Mllama's blocks attend to pictures instead of to themselves.
  bool reads_pictures() const { return !attention; }

  void attend(const float* x, float* y, const ForwardContext& context) {
    if (reads_pictures()) {
      cross_attention->forward(x, y, context);
    } else {
      attention->forward(x, y, context);
    }
    scale_channels(attention_scale, y, context.batch.rows(), context.pool);
  }

  void feed_forward(const float* x, std::int64_t rows, float* y, const ForwardContext& context) {
    if (moe) {
      moe->forward(x, rows, y, context);
    } else {
      mlp->forward(x, rows, y, context);
    }
    scale_channels(mlp_scale, y, rows, context.pool);
    if (reads_pictures()) clear_rows_without_picture(context.batch, y);
  }

  void scale_channels(const std::vector<float>& scale, float* rows, std::int64_t count,
                      ThreadPool& pool) const {
    if (scale.empty()) return;
    pool.parallel_for(count, 64, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row)
        for (std::int64_t i = 0; i < hidden_size; ++i)
          rows[row * hidden_size + i] *= scale[static_cast<std::size_t>(i)];
    });
  }

  // Rows that belong to no picture keep what they had: their feed-forward branch is nothing.
  void clear_rows_without_picture(const Batch& batch, float* rows) const {
    std::int64_t first = 0;
    for (std::size_t s = 0; s < batch.lengths.size(); ++s) {
      std::int64_t done = 0;
      const auto clear = [&](std::int64_t begin, std::int64_t end) {
        std::fill(rows + (first + begin) * hidden_size, rows + (first + end) * hidden_size, 0.0f);
      };
      for (const PictureSpan& span : batch.picture_spans[s]) {
        clear(done, span.belongs ? span.begin : span.end);
        done = span.end;
      }
      clear(done, batch.lengths[s]);
      first += batch.lengths[s];
    }
  }

  /// hidden += residual_scale * branch.
  void add(float* hidden, float* branch, std::int64_t rows, ThreadPool& pool) const {
    const std::int64_t count = rows * hidden_size;
    if (residual_scale != 1.0f)
      for (std::int64_t i = 0; i < count; ++i) branch[i] *= residual_scale;
    kernels::add(hidden, branch, count, pool);
  }

  // What a picture's rows take from the tower after the block before this one.
  void add_span_features(float* hidden, const Batch& batch) const {
    std::int64_t first = 0;
    for (std::size_t s = 0; s < batch.span_features.size(); first += batch.lengths[s], ++s) {
      if (layer == 0 || layer > batch.span_features[s].size()) continue;
      const float* feature = batch.span_features[s][layer - 1].data<float>();
      for (const RowSpan& span : batch.spans[s])
        for (std::int64_t i = span.begin * hidden_size; i < span.end * hidden_size; ++i)
          hidden[first * hidden_size + i] += *feature++;
    }
  }

  void forward_sequential(float* hidden, const ForwardContext& context);
  void forward_parallel(float* hidden, const ForwardContext& context);

  std::string path;
  std::size_t layer;
  Residual residual;
  float residual_scale;
  std::int64_t hidden_size;
  Norm attention_norm;
  std::optional<Attention> attention;
  std::optional<CrossAttention> cross_attention;
  Norm attention_output_norm;
  Norm cross_attention_norm;
  Norm mlp_norm;
  std::string attention_path, cross_attention_path;
  std::string mlp_path;  // of the mixture, where there is one
  std::optional<Mlp> mlp;
  std::optional<MixtureOfExperts> moe;
  Norm mlp_output_norm;
  std::vector<float> attention_scale, mlp_scale;  // [H]; empty without a learned scale
};

// Pre-norm (norm what a branch reads) and post-norm (norm the sum), one branch after the other.
void Block::Parts::forward_sequential(float* hidden, const ForwardContext& context) {
  const std::int64_t rows = context.batch.rows();
  float* normed = context.scratch->floats(Scratch::kNormed, rows * hidden_size);
  float* branch = context.scratch->floats(Scratch::kBranch, rows * hidden_size);
  const auto input = [&](const Norm& norm) -> const float* {
    if (residual == Residual::kPostNorm || !norm) return hidden;
    if (residual == Residual::kNormed) {
      norm.forward(hidden, rows, hidden, context.pool);
      return hidden;
    }
    norm.forward(hidden, rows, normed, context.pool);
    return normed;
  };
  const auto finish = [&](const Norm& output_norm, const Norm& norm) {
    if (output_norm) output_norm.forward(branch, rows, branch, context.pool);
    add(hidden, branch, rows, context.pool);
    if (residual == Residual::kPostNorm && norm) norm.forward(hidden, rows, hidden, context.pool);
  };
  attend(input(attention_norm), branch, context);
  finish(attention_output_norm, attention_norm);
  if (attention && cross_attention) {
    cross_attention->forward(input(cross_attention_norm), branch, context);
    finish(Norm(), cross_attention_norm);
  }
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
  attend(normed, branch, context);
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
  if (context.batch.rows() == 0 || !takes_part(context.batch)) return;
  parts_->add_span_features(hidden, context.batch);
  Scratch own;
  ForwardContext inner = context;
  if (inner.scratch == nullptr) inner.scratch = &own;
  if (parts_->residual == Residual::kParallel) {
    parts_->forward_parallel(hidden, inner);
  } else {
    parts_->forward_sequential(hidden, inner);
  }
}

bool Block::takes_part(const Batch& batch) const {
  return !parts_->reads_pictures() || !batch.picture_spans.empty();
}

Tensor Block::forward_module(const std::string& path, const Tensor& x, const ForwardContext& context) {
  if (path == parts_->path) {
    Tensor hidden = x.clone();
    forward(hidden.mutable_data<float>(), context);
    return hidden;
  }
  Scratch own;
  ForwardContext inner = context;
  if (inner.scratch == nullptr) inner.scratch = &own;
  const std::int64_t rows = x.dim(0);
  Tensor y = Tensor::empty(DType::kF32, {rows, parts_->hidden_size});
  if (path == parts_->attention_path) {
    parts_->attend(x.data<float>(), y.mutable_data<float>(), inner);
    return y;
  }
  if (path == parts_->cross_attention_path) {
    parts_->cross_attention->forward(x.data<float>(), y.mutable_data<float>(), inner);
    return y;
  }
  if (path == parts_->mlp_path) {
    parts_->feed_forward(x.data<float>(), rows, y.mutable_data<float>(), inner);
    return y;
  }
  if (Mlp* expert = parts_->moe ? parts_->moe->expert(path) : nullptr) {
    expert->forward(x.data<float>(), rows, y.mutable_data<float>(), inner);
    return y;
  }
  for (const Linear* linear : linears()) {
    if (linear->path() != path) continue;
    y = Tensor::empty(DType::kF32, {rows, linear->out_features()});
    linear->forward(x.data<float>(), rows, y.mutable_data<float>(), context.pool);
    return y;
  }
  FARTHING_CHECK(false, "{} is not in {}", path, parts_->path);
}

void Block::set_cache_quantization(std::optional<scheme::ActivationQuantization> keys,
                                   std::optional<scheme::ActivationQuantization> values) {
  if (parts_->attention) parts_->attention->set_cache_quantization(std::move(keys), std::move(values));
}

std::vector<std::string> Block::modules() const {
  std::vector<std::string> result = {parts_->path, parts_->attention_path};
  if (parts_->attention && parts_->cross_attention) result.push_back(parts_->cross_attention_path);
  if (parts_->mlp_path != parts_->path) result.push_back(parts_->mlp_path);
  if (parts_->moe) parts_->moe->append_expert_paths(result);
  return result;
}

const std::string& Block::path() const {
  return parts_->path;
}

std::vector<Linear*> Block::linears() {
  std::vector<Linear*> result;
  if (parts_->attention) parts_->attention->append_linears(result);
  if (parts_->cross_attention) parts_->cross_attention->append_linears(result);
  if (parts_->mlp) parts_->mlp->append_linears(result);
  if (parts_->moe) parts_->moe->append_linears(result);
  return result;
}

std::size_t Block::num_bytes() const {
  return parts_->attention_norm.num_bytes() + (parts_->attention ? parts_->attention->num_bytes() : 0) +
         (parts_->cross_attention ? parts_->cross_attention->num_bytes() : 0) +
         parts_->attention_output_norm.num_bytes() + parts_->cross_attention_norm.num_bytes() +
         parts_->mlp_norm.num_bytes() + parts_->mlp_output_norm.num_bytes() +
         (parts_->mlp ? parts_->mlp->num_bytes() : 0) + (parts_->moe ? parts_->moe->num_bytes() : 0);
}

}  // namespace farthing::nn
