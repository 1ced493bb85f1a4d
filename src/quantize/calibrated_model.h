// The model as a calibrated run walks through it: the hidden rows of every sample, and the one block that is
// resident. The rows come from the blocks as they were quantized, so that later blocks see the errors of
// earlier ones; rows of the original model go beside them, or instead of them, where transforms need those.
#pragma once

#include <memory>

#include "base/cancel.h"
#include "base/reporter.h"
#include "calibrate/calibration_set.h"
#include "calibrate/listener.h"
#include "models/folded_source.h"
#include "models/model.h"
#include "plan/quantize_plan.h"

namespace farthing::quantize {

/// Whether experts read the tokens that the router sends them, or all (their answers count as routed).
enum class ExpertInputs : std::uint8_t { kRouted, kAll };
/// Which rows go through the model.
struct Streams {
  bool quantized = true;
  bool original = false;
  bool paired = false;  // both, batch by batch: the original block stays beside the quantized one
  bool sounds = false;  // through the tower of sounds, block by block, before the decoder
};

class CalibratedModel {
 public:
  /// Embeds every sample (each picture is encoded once), or lets its sound enter the tower. Throws
  /// kInvalidArgument when pictures and placeholders differ in number. `calibration` is read again where
  /// sounds come out of the tower.
  CalibratedModel(const nn::ModelSpec& spec, std::shared_ptr<const checkpoint::Checkpoint> source,
                  const calibrate::CalibrationSet& calibration, Streams streams, ThreadPool& pool,
                  Reporter& reporter, const CancelToken& cancel);
  ~CalibratedModel();

  /// Loads the plan's block, after running whatever blocks lie between (those that nothing is done to).
  void enter(const plan::BlockPlan& block);

  /// Runs the original rows through the entered block, which nothing has changed yet, and moves them on: once
  /// per block, if there are any. Without listeners the block counts as finished, and pairs are not wanted.
  void run_original(std::span<calibrate::Listener* const> listeners,
                    ExpertInputs experts = ExpertInputs::kRouted);

  /// Runs all samples through the block as it now stands, without moving on. Outside of the blocks, what the
  /// head reads is all there is to hear. `original` hears each batch first, as the original rows pass the
  /// block with the weights that it is quantized from.
  void run_samples(std::span<calibrate::Listener* const> listeners,
                   ExpertInputs experts = ExpertInputs::kRouted, calibrate::Listener* original = nullptr);

  /// Replaces the weight of one linear of the block, and quantizes what enters it from now on.
  void set_weight(const std::string& path, const QuantizedMatrix& weight,
                  const std::optional<scheme::ActivationQuantization>& input);
  void set_cache_quantization(const scheme::ActivationQuantization& keys,
                              const scheme::ActivationQuantization& values);

  /// The weights that blocks are loaded from. Changes last until the block is left, and reach the loaded
  /// block by `reload`.
  models::FoldedSource& weights() { return *source_; }
  void reload();

  bool has_original() const { return streams_.original; }

  /// Whether the entered block hears pairs; rows in the tower of sounds have no partner.
  bool pairs_inputs() const { return streams_.paired && !entered_audio_; }

  /// The entered block, and the batches in which samples run through it.
  nn::Block& block() { return block_of(model_); }
  std::size_t num_batches() const { return rows_.size(); }
  const nn::Batch& batch(std::size_t index) const { return rows_[index].batch; }
  std::int64_t num_samples() const { return num_samples_; }

  /// Moves the samples to the next block and forgets this one. After the last block nobody needs the rows any
  /// more.
  void leave(bool is_last);

 private:
  struct Rows {
    nn::Batch batch;
    Tensor hidden;    // [rows, H]; undefined without the stream
    Tensor original;  // the same of the original model
    Tensor entering;  // the original rows before the entered block, where pairs are wanted and they moved on
  };

  void enter_tower();
  void leave_tower();
  /// `sounds`: the samples' rows behind the tower, where it was calibrated.
  void embed(std::vector<nn::SoundRows> sounds);
  void advance_to(std::int64_t block);
  void advance_in_tower_to(std::size_t block);
  nn::Block& block_of(models::Model& model) const {
    return entered_audio_ ? model.audio_tower().blocks()[entered_index()] : model.block(entered_);
  }
  std::size_t entered_index() const { return static_cast<std::size_t>(entered_); }

  void observe(models::Model& model, const nn::Batch& batch, Tensor hidden,
               std::span<calibrate::Listener* const> listeners, ExpertInputs experts);

  std::shared_ptr<models::FoldedSource> source_;
  models::Model model_;
  std::optional<models::Model> original_;  // of paired streams: its blocks keep the weights of the source
  const calibrate::CalibrationSet& calibration_;
  ThreadPool& pool_;
  Reporter& reporter_;
  const CancelToken& cancel_;
  Streams streams_;
  std::int64_t num_samples_;
  std::vector<Rows> rows_;
  std::vector<std::vector<std::int64_t>> sound_lengths_;  // of the samples in the tower
  bool in_tower_ = false;                                 // the rows are those of sounds in their tower
  bool entered_audio_ = false;                            // the entered block is one of the tower
  std::int64_t at_ = 0;                                   // the next block that the rows will enter
  std::int64_t entered_ = -1;                             // the resident block, -1 outside
  bool original_moved_ = false;                           // the original rows have passed the entered block
};

}  // namespace farthing::quantize
