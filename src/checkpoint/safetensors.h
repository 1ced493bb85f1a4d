// The safetensors container: header length (u64), a JSON header, the data.
// Format: https://github.com/huggingface/safetensors
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "checkpoint/container.h"

namespace farthing::checkpoint {

inline constexpr std::size_t kLengthBytes = 8;                 // of the header's length
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the reference parser's limit

/// Parses the header of a mapped safetensors file and checks what the reference parser checks (a header of at
/// most 100,000,000 bytes, known dtypes, sizes that equal shape times dtype without overflow, data that is
/// covered without holes or overlaps and ends with the file) and that no name comes twice and no key is
/// unknown. Throws kCorruptData naming file and tensor, kUnsupported for an unknown dtype.
Container read_safetensors_header(std::span<const std::byte> bytes, const std::filesystem::path& file);

}  // namespace farthing::checkpoint
