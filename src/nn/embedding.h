// From token ids and positions to the input of the first block.
#pragma once

#include <cstdint>
#include <span>

#include "nn/linear.h"
#include "nn/norm.h"

namespace farthing::nn {

/// A table of rows in the precision of its file, looked up as fp32.
class EmbeddingTable {
 public:
  EmbeddingTable() = default;
  /// Loads PATH.weight [rows, width]; a quantized table is dequantized.
  EmbeddingTable(const std::string& path, std::int64_t rows, std::int64_t width, const WeightSource& source);

  /// Copies row `index`, which must be there, to `out` [width].
  void row(std::int64_t index, float* out) const;

  std::int64_t num_rows() const { return weight_.dim(0); }
  std::int64_t width() const { return weight_.dim(1); }
  const Tensor& weight() const { return weight_; }

 private:
  Tensor weight_;  // F32, BF16 or F16 [rows, width]; usually a view of the file
};

class Embedding {
 public:
  Embedding(const DecoderSpec& spec, const WeightSource& source);

  /// Rows of tokens, scaled, projected and with positions added, as declared: out [ids, H]. The id
  /// `placeholder` may lie outside the vocabulary; its row is replaced later. Throws kInvalidArgument for
  /// other ids or positions outside the tables.
  void forward(std::span<const std::int32_t> ids, std::span<const std::int64_t> positions,
               std::int64_t placeholder, float* out, ThreadPool& pool) const;

  const EmbeddingTable& tokens() const { return tokens_; }
  std::size_t num_bytes() const;

 private:
  void look_up(std::span<const std::int32_t> ids, std::int64_t placeholder, float* out,
               ThreadPool& pool) const;
  void add_positions(std::span<const std::int64_t> positions, float* out, ThreadPool& pool) const;

  EmbeddingTable tokens_, positions_;
  bool has_positions_;
  std::int64_t position_offset_, hidden_size_;
  float scale_;
  Linear project_in_;
  Norm norm_;
};

}  // namespace farthing::nn
