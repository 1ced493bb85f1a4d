// pytorch_model.bin as torch.save wrote it before 1.6: pickles one after the other (a magic number, a
// version, facts of the machine, the object, the keys of the storages), then each storage as a count and its
// elements.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

#include "checkpoint/container.h"

namespace farthing::checkpoint {

bool is_torch_legacy(std::span<const std::byte> bytes);

/// Lists the tensors of a mapped file. Throws kCorruptData or kUnsupported.
Container read_torch_legacy(std::span<const std::byte> bytes, const std::filesystem::path& file);

}  // namespace farthing::checkpoint
