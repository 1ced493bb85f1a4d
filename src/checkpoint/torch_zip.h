// pytorch_model.bin as torch.save writes it since 1.6: a zip archive of stored (uncompressed) entries that
// holds a pickle, data.pkl, and one entry per storage. Format:
// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT, sections 4.3 and 4.5.3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "checkpoint/container.h"
#include "checkpoint/state_dict.h"

namespace farthing::checkpoint {

/// Returns where the entries of a zip archive lie, by name (zip64 included). Throws kCorruptData, or
/// kUnsupported for compressed or encrypted entries.
std::map<std::string, StoredBytes, std::less<>> list_zip_entries(std::span<const std::byte> bytes,
                                                                 const std::filesystem::path& file);

bool is_torch_zip(std::span<const std::byte> bytes);

/// Lists the tensors of a mapped archive. Throws kCorruptData or kUnsupported.
Container read_torch_zip(std::span<const std::byte> bytes, const std::filesystem::path& file);

}  // namespace farthing::checkpoint
