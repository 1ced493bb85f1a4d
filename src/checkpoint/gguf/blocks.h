// The block formats of ggml: runs of 32 to 256 values that share scales. Decoding only; every value comes out
// as the reference package for Python has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace farthing::checkpoint::gguf {

/// What one block is.
struct BlockType {
  std::uint32_t id;  // ggml's
  std::string_view name;
  std::int64_t values;  // of one block
  std::int64_t bytes;
  void (*decode)(const std::uint8_t* block, float* values);
};

/// Returns null for an id that ggml does not have.
const BlockType* find_block_type(std::uint32_t id);
const BlockType* find_block_type(std::string_view name);

}  // namespace farthing::checkpoint::gguf
