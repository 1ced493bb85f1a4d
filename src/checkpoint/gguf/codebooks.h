// The codebooks of ggml's IQ1, IQ2 and IQ3 block types: lists of the few runs of values that a code may stand
// for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace farthing::checkpoint::gguf {

class Codebook {
 public:
  /// A codeword is a number whose digits, the lowest first, choose its values from `alphabet`. Bit w of
  /// `members` says whether w is one; codes count the members upwards.
  Codebook(std::span<const std::uint64_t> members, std::span<const float> alphabet, int length);

  /// The `length` values that `code` stands for.
  const float* values(std::uint32_t code) const {
    return values_.data() + static_cast<std::size_t>(code) * static_cast<std::size_t>(length_);
  }
  std::size_t size() const { return values_.size() / static_cast<std::size_t>(length_); }

 private:
  int length_;
  std::vector<float> values_;
};

/// Codewords of eight values: 256, 512, 1024 and 2048 of them.
const Codebook& iq2_xxs_codebook();
const Codebook& iq2_xs_codebook();
const Codebook& iq2_s_codebook();
const Codebook& iq1_codebook();

/// Codewords of four values: 256 and 512.
const Codebook& iq3_xxs_codebook();
const Codebook& iq3_s_codebook();

}  // namespace farthing::checkpoint::gguf
