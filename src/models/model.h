// A model that can be run: a declaration, a source of weights, and the blocks built from both. Blocks are
// loaded when first needed, or one at a time by callers that stream.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "models/family.h"
#include "nn/audio_tower.h"
#include "nn/block.h"

namespace farthing::models {

/// How quantized weights come out of a checkpoint. kRounded: where the format's own loader forms the values
/// in 16 bits, they come as those 16-bit values, which take more memory and are what its logits were made of.
enum class WeightForm : std::uint8_t { kAsStored, kRounded };

/// Weights of a checkpoint under canonical names, in any of its spellings and formats.
class CheckpointSource : public nn::WeightSource {
 public:
  CheckpointSource(std::shared_ptr<const checkpoint::Checkpoint> checkpoint, const nn::ModelSpec& spec,
                   WeightForm form = WeightForm::kAsStored);
  ~CheckpointSource() override;
  bool has(std::string_view tensor) const override;
  Tensor tensor(std::string_view name) const override;
  std::variant<Tensor, QuantizedMatrix> linear_weight(std::string_view module) const override;
  std::optional<scheme::ActivationQuantization> activation(std::string_view module,
                                                           scheme::ActivationSite site) const override;
  void release(std::string_view prefix) const override;
  /// The file's own spelling of a canonical tensor or module name.
  std::string file_name(std::string_view canonical) const;
  /// Tensors of the file, in its spelling, that the declaration neither uses nor lists as leftovers.
  std::vector<std::string> unexplained() const;
  /// Checks from headers alone that every declared tensor is there with the declared shape. Throws kNotFound
  /// or kCorruptData naming file and tensor.
  void require_complete() const;

 private:
  struct Index;
  std::unique_ptr<Index> index_;
  WeightForm form_;
};

using nn::PictureTensors;

class PicturePlaces;

/// Prompts as the blocks read them, one after the other.
struct Prepared {
  Tensor hidden;  // [rows, H]: embeddings, with the pictures' features in their places
  std::vector<nn::Sequence> sequences;

  /// The batch of all of them, without caches.
  nn::Batch batch() const;
};

class Model {
 public:
  /// Opens a model directory: reads headers, declares, checks that every declared tensor is there with the
  /// declared shape.
  static Model open(const std::filesystem::path& directory, WeightForm form = WeightForm::kAsStored);
  /// The same over another source of weights (tests; partly quantized models).
  Model(nn::ModelSpec spec, std::shared_ptr<const nn::WeightSource> source);

  const nn::ModelSpec& spec() const { return *spec_; }
  const nn::WeightSource& source() const { return *source_; }

  /// Loads everything that is not yet loaded.
  void load(ThreadPool& pool);
  std::size_t num_bytes() const;
  /// Bytes of weights that decoding one token reads: the loaded blocks and the head.
  std::size_t bytes_per_token() const;

  /// Rows of the embedding (positions and projection included): [T, H].
  Tensor embed(std::span<const std::int32_t> ids, std::span<const std::int64_t> positions, ThreadPool& pool);
  /// Embeddings [tokens, H] that replace the placeholders of pictures or sounds, in order, and how they lie
  /// in these; or the states that the decoder attends to. `stacked` receives the features of each deepstack
  /// layer.
  nn::PictureFeatures image_features(const PictureTensors& pictures, ThreadPool& pool,
                                     std::vector<Tensor>* stacked = nullptr);
  /// Whole prompts of the given lengths, whose ids follow one another, with the features of all their
  /// pictures put in. Throws kInvalidArgument when placeholders and features differ in number.
  Prepared prepare(std::span<const std::int32_t> ids, std::span<const std::int64_t> lengths,
                   const PictureTensors& pictures, ThreadPool& pool);
  Prepared prepare(std::span<const std::int32_t> ids, const PictureTensors& pictures, ThreadPool& pool);
  /// The same for a prompt whose sounds have passed the tower's blocks already.
  Prepared prepare(std::span<const std::int32_t> ids, const nn::SoundRows& sounds, ThreadPool& pool);

  /// The tower of sounds, loaded on first use.
  nn::AudioTower& audio_tower();

  /// Forgets what only pictures need, and the embedding, until it is needed again.
  void unload_inputs();

  /// Block `index`, loaded on first use; `unload_block` forgets it.
  nn::Block& block(std::int64_t index);
  void unload_block(std::int64_t index);

  /// Final norm (and project_out) in place or into a new tensor; then the head on some rows: [rows, V].
  Tensor final_hidden(const Tensor& hidden, ThreadPool& pool);
  Tensor logits(const Tensor& final_hidden, ThreadPool& pool);

  /// The whole pass over hidden rows from `embed`: blocks, final norm. With `hidden_states` every layer's
  /// input is kept too (0: input of the first block ... L: after the final norm), as transformers counts
  /// them.
  Tensor forward(Tensor hidden, const nn::Batch& batch, ThreadPool& pool,
                 std::vector<Tensor>* hidden_states = nullptr);

  /// An empty cache for one sequence.
  nn::SequenceCache new_cache() const;
  /// False when a sequence of `before` tokens cannot grow to `after` with the keys in its cache, which must
  /// then be built anew (longrope passing its original length).
  bool cache_stays_valid(std::int64_t before, std::int64_t after) const;

 private:
  struct Parts;

  /// The tower of pictures or sounds, loaded on first use.
  nn::VisionTower& tower();
  Prepared put_together(std::span<const std::int32_t> ids, std::span<const std::int64_t> lengths,
                        PicturePlaces places, ThreadPool& pool);

  std::shared_ptr<const nn::ModelSpec> spec_;
  std::shared_ptr<const nn::WeightSource> source_;
  std::shared_ptr<Parts> parts_;
};

}  // namespace farthing::models
