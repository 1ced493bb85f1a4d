// ggml's blocks of 256 values: sub-blocks of 16 or 32 whose whole-number scales (and minima) share one or two
// fp16 numbers. One function per type: values and their weights in, the block's bytes out.
#pragma once

#include <cstdint>

namespace farthing::methods::ggml {

void encode_q2_k(const float* x, const float* w, std::uint8_t* block);
void encode_q3_k(const float* x, const float* w, std::uint8_t* block);
void encode_q4_k(const float* x, const float* w, std::uint8_t* block);
void encode_q5_k(const float* x, const float* w, std::uint8_t* block);
void encode_q6_k(const float* x, const float* w, std::uint8_t* block);
void encode_iq4_xs(const float* x, const float* w, std::uint8_t* block);

}  // namespace farthing::methods::ggml
