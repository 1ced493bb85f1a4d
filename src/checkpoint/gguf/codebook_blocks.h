// Blocks of 256 values whose codes point into codebooks.
#pragma once

#include <cstdint>

namespace farthing::checkpoint::gguf {

/// Each takes a whole block and writes its 256 values.
void decode_iq2_xxs(const std::uint8_t* block, float* values);
void decode_iq2_xs(const std::uint8_t* block, float* values);
void decode_iq2_s(const std::uint8_t* block, float* values);
void decode_iq3_xxs(const std::uint8_t* block, float* values);
void decode_iq3_s(const std::uint8_t* block, float* values);
void decode_iq1_s(const std::uint8_t* block, float* values);
void decode_iq1_m(const std::uint8_t* block, float* values);

}  // namespace farthing::checkpoint::gguf
