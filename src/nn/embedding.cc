#include "nn/embedding.h"

#include <algorithm>

#include "nn/names.h"
#include "tensor/float_types.h"

namespace farthing::nn {
namespace {

float round_to(DType dtype, float value) {
  if (dtype == DType::kBF16) return round_to_bf16(value);
  if (dtype == DType::kF16) return round_to_fp16(value);
  return value;
}

Tensor load_table(const std::string& path, const WeightSource& source) {
  const std::variant<Tensor, QuantizedMatrix> weight = source.linear_weight(path);
  if (const auto* quantized = std::get_if<QuantizedMatrix>(&weight))
    return kernels::unpack_weight(kernels::pack_weight(*quantized));
  const Tensor& table = std::get<Tensor>(weight);
  const bool kept =
      table.dtype() == DType::kF32 || table.dtype() == DType::kBF16 || table.dtype() == DType::kF16;
  return kept ? table : to_float32(table);
}

}  // namespace

EmbeddingTable::EmbeddingTable(const std::string& path, std::int64_t rows, std::int64_t width,
                               const WeightSource& source)
    : weight_(load_table(path, source)) {
  FARTHING_REQUIRE(
      weight_.shape() == Shape({rows, width}), Code::kCorruptData,
      "an embedding has another shape than config.json says",
      {{"module", path}, {"shape", to_string(weight_.shape())}, {"expected", to_string(Shape{rows, width})}});
}

void EmbeddingTable::row(std::int64_t index, float* out) const {
  const std::int64_t count = width();
  if (weight_.dtype() == DType::kF32) {
    std::copy_n(weight_.data<float>() + index * count, count, out);
    return;
  }
  const std::uint16_t* bits = weight_.data<std::uint16_t>() + index * count;
  if (weight_.dtype() == DType::kBF16) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = bf16_to_float(bits[i]);
  } else {
    for (std::int64_t i = 0; i < count; ++i) out[i] = fp16_to_float(bits[i]);
  }
}

Embedding::Embedding(const DecoderSpec& spec, const WeightSource& source)
    : tokens_(join(spec.path, spec.embed_tokens), spec.embedding_rows(), spec.embedding_width(), source),
      has_positions_(!spec.embed_positions.empty()),
      position_offset_(spec.position_offset),
      hidden_size_(spec.hidden_size),
      scale_(spec.round_embedding_scale ? round_to(tokens_.weight().dtype(), spec.embedding_scale)
                                        : spec.embedding_scale),
      norm_(spec.embedding_norm, spec.path, source) {
  if (has_positions_)
    positions_ =
        EmbeddingTable(join(spec.path, spec.embed_positions),
                       spec.max_position_embeddings + spec.position_offset, spec.hidden_size, source);
  if (spec.project_in) project_in_ = Linear(*spec.project_in, join(spec.path, spec.project_in->name), source);
}

void Embedding::forward(std::span<const std::int32_t> ids, std::span<const std::int64_t> positions,
                        std::int64_t placeholder, float* out, ThreadPool& pool) const {
  FARTHING_CHECK(ids.size() == positions.size(), "{} ids at {} positions", ids.size(), positions.size());
  const auto rows = static_cast<std::int64_t>(ids.size());
  if (project_in_) {
    Tensor narrow = Tensor::empty(DType::kF32, {rows, tokens_.width()});
    look_up(ids, placeholder, narrow.mutable_data<float>(), pool);
    project_in_.forward(narrow.data<float>(), rows, out, pool);
  } else {
    look_up(ids, placeholder, out, pool);
  }
  if (has_positions_) add_positions(positions, out, pool);
  if (norm_) norm_.forward(out, rows, out, pool);
}

void Embedding::look_up(std::span<const std::int32_t> ids, std::int64_t placeholder, float* out,
                        ThreadPool& pool) const {
  for (const std::int32_t id : ids)
    FARTHING_REQUIRE(id >= 0 && (id < tokens_.num_rows() || id == placeholder), Code::kInvalidArgument,
                     "a token id is outside the vocabulary", {{"id", id}, {"vocab_size", tokens_.num_rows()}},
                     "the tokenizer does not belong to this model");
  pool.parallel_for(static_cast<std::int64_t>(ids.size()), 64, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int32_t id = ids[static_cast<std::size_t>(i)];
      float* row = out + i * tokens_.width();
      tokens_.row(id < tokens_.num_rows() ? id : 0, row);
      if (scale_ != 1.0f)
        for (std::int64_t j = 0; j < tokens_.width(); ++j) row[j] *= scale_;
    }
  });
}

void Embedding::add_positions(std::span<const std::int64_t> positions, float* out, ThreadPool& pool) const {
  const std::int64_t limit = positions_.num_rows() - position_offset_;
  for (const std::int64_t position : positions)
    FARTHING_REQUIRE(position >= 0 && position < limit, Code::kInvalidArgument,
                     "the sequence is longer than the model's position table",
                     {{"position", position}, {"max_position_embeddings", limit}}, "shorten the prompt");
  pool.parallel_for(
      static_cast<std::int64_t>(positions.size()), 64, [&](std::int64_t begin, std::int64_t end) {
        std::vector<float> learned(static_cast<std::size_t>(hidden_size_));
        for (std::int64_t i = begin; i < end; ++i) {
          positions_.row(positions[static_cast<std::size_t>(i)] + position_offset_, learned.data());
          for (std::int64_t j = 0; j < hidden_size_; ++j)
            out[i * hidden_size_ + j] += learned[static_cast<std::size_t>(j)];
        }
      });
}

std::size_t Embedding::num_bytes() const {
  return tokens_.weight().num_bytes() + (has_positions_ ? positions_.weight().num_bytes() : 0) +
         project_in_.num_bytes() + norm_.num_bytes();
}

}  // namespace farthing::nn
