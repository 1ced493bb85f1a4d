// Writes safetensors so that nothing is lost or half: the layout is fixed before the first byte, tensors are
// filled in any order, and a killed run goes on where it stopped.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "tensor/tensor.h"

namespace farthing::checkpoint {

/// What will be written under `name`.
struct TensorPlan {
  std::string name;
  DType dtype = DType::kF32;
  Shape shape;
};

struct WriterOptions {
  std::uint64_t shard_bytes =
      5'000'000'000;    // tensor bytes per shard; a larger tensor has a shard of its own
  bool resume = false;  // keep shards that an earlier run with the same plan left
  std::map<std::string, std::string> metadata = {{"format", "pt"}};  // transformers requires "format"
};

/// A folder of safetensors shards: model.safetensors, or model-00001-of-0000N.safetensors and an index.
/// Tensors go to shards in the order of the plan; inside a shard larger element types come first (else the
/// plan's order is kept), as the reference writers do, so that every tensor starts at a multiple of its
/// element size. The same plan and tensors give the same bytes, in whatever order they are written. One
/// thread at a time.
class CheckpointWriter {
 public:
  /// Creates `directory` and all shards at their final size, with headers. Throws kResources (needed and free
  /// bytes) when the disk cannot hold them, kInvalidArgument when `directory` holds weights already and
  /// `resume` is not set, or holds those of another plan.
  CheckpointWriter(std::filesystem::path directory, std::vector<TensorPlan> plan, WriterOptions options = {});
  ~CheckpointWriter();
  CheckpointWriter(CheckpointWriter&&) noexcept;
  CheckpointWriter& operator=(CheckpointWriter&&) noexcept;

  /// Writes one tensor; dtype and shape must be the planned ones. Writing again replaces. Throws kResources
  /// when the disk is full: what was written stays, for a resume.
  void write(std::string_view name, const Tensor& tensor);

  /// Writes one tensor in pieces: `fill` is called once and hands consecutive pieces to its sink, exactly as
  /// many bytes in all as planned. Pairs with Checkpoint::stream.
  void write_stream(std::string_view name, const std::function<void(const ByteSink&)>& fill);

  /// Declares that an earlier run wrote and synced this tensor. Throws kCorruptData when its shard did not
  /// survive.
  void mark_written(std::string_view name);
  bool is_written(std::string_view name) const;

  /// Makes what has been written so far durable; call it before noting progress in a journal.
  void sync();

  /// Checks that every planned tensor was written, writes the index if there is more than one shard, and
  /// syncs.
  void finish();

  /// File names of the shards (and of the index, once finished).
  std::vector<std::string> file_names() const;
  /// Bytes of all shards, headers included.
  std::uint64_t total_bytes() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

/// Writes one safetensors file atomically, with the same order of tensors as a shard. Throws kIo or
/// kResources.
void save_safetensors(const std::filesystem::path& file,
                      const std::vector<std::pair<std::string, Tensor>>& tensors,
                      const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

/// Opens one safetensors file. The same as Checkpoint::open(file).
Checkpoint load_safetensors(const std::filesystem::path& file);

}  // namespace farthing::checkpoint
