// The model as a calibrated run walks through it: the hidden rows of every sample, and the one block that is
// resident. The rows always come from the blocks as they were quantized, so that later blocks see the errors
// of earlier ones.
#pragma once

#include <memory>

#include "base/cancel.h"
#include "base/reporter.h"
#include "calibrate/calibration_set.h"
#include "calibrate/listener.h"
#include "plan/quantize_plan.h"
#include "quantize/overlay_source.h"

namespace farthing::quantize {

/// Whether experts read the tokens that the router sends them, or all (their answers count as routed).
enum class ExpertInputs : std::uint8_t { kRouted, kAll };

class CalibratedModel {
 public:
  /// Embeds every sample (each picture is encoded once). Throws kInvalidArgument when pictures and
  /// placeholders differ in number.
  CalibratedModel(const nn::ModelSpec& spec, std::shared_ptr<const checkpoint::Checkpoint> source,
                  const calibrate::CalibrationSet& calibration, ThreadPool& pool, Reporter& reporter,
                  const CancelToken& cancel);
  ~CalibratedModel();

  /// Loads the plan's block, after running whatever blocks lie between (those that nothing is done to).
  void enter(const plan::BlockPlan& block);

  /// Runs all samples through the block as it now stands, without moving on. Outside of the blocks, what the
  /// head reads is all there is to hear.
  void run_samples(std::span<calibrate::Listener* const> listeners,
                   ExpertInputs experts = ExpertInputs::kRouted);

  /// Replaces the weight of one linear of the block, and quantizes what enters it from now on.
  void set_weight(const std::string& path, const QuantizedMatrix& weight,
                  const std::optional<scheme::ActivationQuantization>& input);
  void set_cache_quantization(const scheme::ActivationQuantization& keys,
                              const scheme::ActivationQuantization& values);

  /// Changes tensors of the entered block (canonical names; weights of linears as [out, in]) and loads it
  /// anew.
  void change(const std::map<std::string, Tensor>& tensors);

  std::int64_t num_samples() const { return num_samples_; }

  /// Moves the samples to the next block and forgets this one. After the last block nobody needs the rows any
  /// more.
  void leave(bool is_last);

 private:
  struct Rows {
    nn::Batch batch;
    Tensor hidden;  // [rows, H]
  };

  void embed(const calibrate::CalibrationSet& calibration, Reporter& reporter);
  void advance_to(std::int64_t block);

  std::shared_ptr<OverlaySource> source_;
  models::Model model_;
  ThreadPool& pool_;
  const CancelToken& cancel_;
  std::int64_t num_samples_;
  std::vector<Rows> rows_;
  std::int64_t at_ = 0;        // the next block that the rows will enter
  std::int64_t entered_ = -1;  // the resident block, -1 outside
};

}  // namespace farthing::quantize
