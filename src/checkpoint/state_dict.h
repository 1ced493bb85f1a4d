// From an unpickled PyTorch checkpoint to a list of tensors with their places in the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/pickle.h"

namespace farthing::checkpoint {

/// The bytes of one storage in the file.
struct StoredBytes {
  std::uint64_t offset = 0;
  std::uint64_t num_bytes = 0;
};

/// Lists the tensors of the dictionary `top`, or of the one it holds under "state_dict", "model_state_dict",
/// "model" or "module"; values that are not tensors are passed over. `find_storage` says where a storage key
/// lies, or throws. Throws kUnsupported when there is no dictionary of tensors, kCorruptData when a tensor
/// does not lie within its storage.
std::vector<TensorInfo> list_state_dict(
    const pickle::Value& top, const std::filesystem::path& file, std::uint64_t file_bytes,
    const std::function<StoredBytes(const std::string& key)>& find_storage);

}  // namespace farthing::checkpoint
