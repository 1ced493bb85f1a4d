// A model's weights as users have them: safetensors (single, sharded, any name), PyTorch .bin (zip or
// legacy pickle, single or sharded) or GGUF. Opening reads headers only; bytes are touched when a tensor is
// asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "tensor/tensor.h"

namespace farthing::checkpoint {

/// One tensor of a checkpoint, known without touching its data.
struct TensorInfo {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
  std::filesystem::path file;
  std::uint64_t offset = 0;     // absolute, of the first element, in bytes
  std::uint64_t num_bytes = 0;  // of the dense tensor
  Shape strides;                // in elements; empty when dense (always so in safetensors)
  // GGUF only. What is read is decoded: plain floats, in the order of rows that others have.
  std::uint32_t block_type = 0;        // ggml's number of the block format; 0: plain numbers
  std::uint64_t stored_bytes = 0;      // in the file
  std::int64_t interleaved_heads = 0;  // heads whose rows are put back in order; 0: they are

  bool is_encoded() const { return block_type != 0 || interleaved_heads != 0; }
  bool is_derived = false;  // made of other tensors when it is read; see Checkpoint::with_derived
};

/// Takes consecutive pieces of a tensor's bytes.
using ByteSink = std::function<void(std::span<const std::byte>)>;

/// Cheap to copy; copies and the tensors that were read share the mappings. Const members may be called from
/// any thread.
class Checkpoint {
 public:
  /// Opens a model folder, or one weight file. In a folder the first of these that is there counts:
  /// model.safetensors, model.safetensors.index.json, another *.safetensors.index.json,
  /// gptq_model*.safetensors, model*.safetensors (shards without an index), pytorch_model.bin,
  /// pytorch_model.bin.index.json, any other *.safetensors, a single other
  /// *.bin/*.pt/*.pth. Throws kNotFound when none is (listing what is there) or a shard is missing,
  /// kCorruptData or kUnsupported naming file and tensor.
  static Checkpoint open(const std::filesystem::path& path);

  /// The folder that config.json and the tokenizer are looked for in.
  const std::filesystem::path& directory() const { return directory_; }

  /// All tensors, sorted by name.
  const std::vector<TensorInfo>& tensors() const { return *tensors_; }

  /// A tensor that is in no file: what `make` returns, whenever it is read. `info.stored_bytes` is what it is
  /// made of.
  struct DerivedTensor {
    TensorInfo info;
    std::function<Tensor()> make;
  };

  /// The same files seen otherwise: without the tensors named in `hidden`, with `derived` ones, under
  /// `config`.
  Checkpoint with_derived(const std::set<std::string>& hidden, std::vector<DerivedTensor> derived,
                          Json config) const;

  /// Returns null when there is no tensor of this name.
  const TensorInfo* find(std::string_view name) const;
  bool contains(std::string_view name) const { return find(name) != nullptr; }

  /// Throws kNotFound, with the nearest names as the hint.
  const TensorInfo& at(std::string_view name) const;

  /// Returns a view into the mapped file. A tensor with strides, or one that starts where its element type
  /// may not, is copied to memory of its own.
  Tensor read(std::string_view name) const;

  /// Tells the kernel that this tensor's pages need not stay resident (mapped pages count as resident
  /// memory). Views stay valid: touching them reads the file again.
  void release(std::string_view name) const;

  /// Hands the tensor's bytes to `sink` in pieces of at most 4 MiB, without making mapped pages resident (a
  /// tensor with strides is gathered through the mapping). Throws kIo when the file shrank meanwhile.
  void stream(std::string_view name, const ByteSink& sink) const;

  /// Sum over tensors; names that share their bytes (tied weights in .bin files) count once.
  std::uint64_t total_bytes() const;

  /// The weight files, sorted.
  const std::vector<std::filesystem::path>& files() const { return files_; }

  /// `__metadata__` of the first safetensors file; empty for .bin files.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  /// config.json, parsed anew at each call; an empty object when there is none. For a GGUF file, what its
  /// metadata says.
  Json config() const;

 private:
  Checkpoint() = default;

  using MappedFiles = std::map<std::string, std::shared_ptr<const MappedFile>, std::less<>>;

  const std::shared_ptr<const MappedFile>& mapping_of(const TensorInfo& info) const;

  std::filesystem::path directory_;
  std::vector<std::filesystem::path> files_;
  std::map<std::string, std::string> metadata_;
  std::shared_ptr<const std::vector<TensorInfo>> tensors_;
  std::shared_ptr<const MappedFiles> mappings_;  // by path
  std::shared_ptr<const Json> config_;           // of a GGUF file or a derived view; null for all others
  std::shared_ptr<const std::map<std::string, std::function<Tensor()>, std::less<>>> derived_;  // may be null
};

/// Returns what the MODEL argument of the command line means: an existing folder or file, else `org/name` or
/// `org/name@revision` in the Hugging Face cache (HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME,
/// ~/.cache/huggingface). Throws kNotFound saying where it looked and how to download the model.
std::filesystem::path find_model(const std::string& model);

}  // namespace farthing::checkpoint
