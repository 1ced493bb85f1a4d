#include "quantize/calibrated_model.h"

#include "base/error.h"
#include "plan/footprint.h"

namespace farthing::quantize {
CalibratedModel::CalibratedModel(const nn::ModelSpec& spec,
                                 std::shared_ptr<const checkpoint::Checkpoint> source,
                                 const calibrate::CalibrationSet& calibration, ThreadPool& pool,
                                 Reporter& reporter, const CancelToken& cancel)
    : model_(spec, std::make_shared<models::CheckpointSource>(std::move(source), spec)),
      pool_(pool),
      cancel_(cancel),
      num_samples_(static_cast<std::int64_t>(calibration.samples.size())) {
  embed(calibration, reporter);
}

CalibratedModel::~CalibratedModel() = default;

void CalibratedModel::embed(const calibrate::CalibrationSet& calibration, Reporter& reporter) {
  std::vector<Tensor> parts;
  nn::Batch batch;
  const auto flush = [&] {
    if (parts.empty()) return;
    Rows rows{.batch = std::exchange(batch, {}), .hidden = {}};
    rows.hidden = Tensor::empty(DType::kF32, {rows.batch.rows(), parts.front().dim(1)});
    std::byte* out = rows.hidden.mutable_bytes().data();
    for (const Tensor& part : parts) out = std::copy(part.bytes().begin(), part.bytes().end(), out);
    rows_.push_back(std::move(rows));
    parts.clear();
  };
  for (std::size_t i = 0; i < calibration.samples.size(); ++i) {
    cancel_.check();
    const models::Prompt& prompt = calibration.samples[i].prompt;
    const auto length = static_cast<std::int64_t>(prompt.ids.size());
    if (batch.rows() + length > plan::kRowsAtOnce) flush();
    models::Prepared prepared = model_.prepare(prompt.ids, prompt.pictures, pool_);
    parts.push_back(std::move(prepared.hidden));
    batch.add(prepared.sequences.front());
    reporter.progress({.stage = "embed",
                       .fraction = 0,
                       .done = static_cast<std::int64_t>(i + 1),
                       .total = num_samples_,
                       .detail = calibration.samples[i].origin});
  }
  flush();
  model_.unload_inputs();
}

void CalibratedModel::advance_to(std::int64_t block) {
  for (; at_ < block; ++at_) {
    for (Rows& rows : rows_) {
      cancel_.check();
      model_.block(at_).forward(rows.hidden.mutable_data<float>(), {.pool = pool_, .batch = rows.batch});
    }
    model_.unload_block(at_);
  }
}

void CalibratedModel::enter(const plan::BlockPlan& block) {
  const std::int64_t num_blocks = static_cast<std::int64_t>(model_.spec().decoder.blocks.size());
  advance_to(block.index < 0 ? num_blocks : block.index);
  entered_ = block.index;
  if (entered_ < 0) return;
  model_.block(entered_);
  model_.source().release(
      block.path);  // it is in the kernels' layout now; a linear is read again when its turn comes
}

std::unique_ptr<calibrate::HessianCollector> CalibratedModel::collect(const std::set<std::string>& paths) {
  auto collector = std::make_unique<calibrate::HessianCollector>(paths, num_samples_, pool_);
  const nn::InputObserver observer = collector->observer();
  for (const Rows& rows : rows_) {
    cancel_.check();
    if (entered_ < 0) {
      const Tensor hidden = model_.final_hidden(rows.hidden, pool_);
      for (const std::string& path : paths)
        collector->add(path, hidden.data<float>(), hidden.dim(0), hidden.dim(1));
      continue;
    }
    Tensor hidden = rows.hidden.clone();
    model_.block(entered_).forward(hidden.mutable_data<float>(),
                                   {.pool = pool_, .batch = rows.batch, .observer = &observer});
  }
  return collector;
}

void CalibratedModel::set_weight(const std::string& path, const QuantizedMatrix& weight) {
  if (entered_ < 0) return;  // nothing reads the head's output
  for (nn::Linear* linear : model_.block(entered_).linears()) {
    if (linear->path() == path) return linear->set_weight(weight);
  }
  FARTHING_CHECK(false, "{} is not in block {}", path, entered_);
}

void CalibratedModel::leave(bool is_last) {
  if (entered_ < 0) return;
  if (is_last) {
    model_.unload_block(entered_);
    rows_.clear();
  } else {
    advance_to(entered_ + 1);
  }
  entered_ = -1;
}

}  // namespace farthing::quantize
