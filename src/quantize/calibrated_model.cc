#include "quantize/calibrated_model.h"

#include "base/error.h"
#include "plan/footprint.h"

namespace farthing::quantize {

CalibratedModel::CalibratedModel(const nn::ModelSpec& spec,
                                 std::shared_ptr<const checkpoint::Checkpoint> source,
                                 const calibrate::CalibrationSet& calibration, Streams streams,
                                 ThreadPool& pool, Reporter& reporter, const CancelToken& cancel)
    : source_(std::make_shared<models::FoldedSource>(
          std::make_shared<models::CheckpointSource>(std::move(source), spec), pool)),
      model_(spec, source_),
      pool_(pool),
      cancel_(cancel),
      streams_(streams),
      num_samples_(static_cast<std::int64_t>(calibration.samples.size())) {
  embed(calibration, reporter);
}

CalibratedModel::~CalibratedModel() = default;

void CalibratedModel::embed(const calibrate::CalibrationSet& calibration, Reporter& reporter) {
  std::vector<Tensor> parts;
  nn::Batch batch;
  const auto flush = [&] {
    if (parts.empty()) return;
    Rows rows{.batch = std::exchange(batch, {}), .hidden = {}, .original = {}};
    rows.hidden = Tensor::empty(DType::kF32, {rows.batch.rows(), parts.front().dim(1)});
    std::byte* out = rows.hidden.mutable_bytes().data();
    for (const Tensor& part : parts) out = std::copy(part.bytes().begin(), part.bytes().end(), out);
    if (streams_.original) rows.original = streams_.quantized ? rows.hidden.clone() : rows.hidden;
    if (!streams_.quantized) rows.hidden = {};
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
      const nn::ForwardContext context{.pool = pool_, .batch = rows.batch};
      if (rows.hidden.defined()) model_.block(at_).forward(rows.hidden.mutable_data<float>(), context);
      if (rows.original.defined() && !original_moved_)
        model_.block(at_).forward(rows.original.mutable_data<float>(), context);
    }
    original_moved_ = false;
    model_.unload_block(at_);
  }
}

void CalibratedModel::enter(const plan::BlockPlan& block) {
  const std::int64_t num_blocks = static_cast<std::int64_t>(model_.spec().decoder.blocks.size());
  advance_to(block.index < 0 ? num_blocks : block.index);
  entered_ = block.index;
  if (entered_ < 0) return;
  model_.block(entered_);
  // It is in the kernels' layout now; a linear is read again when its turn comes.
  model_.source().release(block.path);
}

void CalibratedModel::observe(const Rows& rows, float* hidden,
                              std::span<calibrate::Listener* const> listeners, ExpertInputs experts) {
  const nn::InputObserver inputs = [&](std::span<nn::Linear* const> linears, const float* x,
                                       std::int64_t count) {
    std::vector<std::string> paths;
    for (const nn::Linear* linear : linears) paths.push_back(linear->path());
    for (calibrate::Listener* listener : listeners)
      listener->inputs(paths, x, count, linears.front()->in_features());
  };
  const nn::CacheObserver caches = [&](const nn::KeysAndValues& heads) {
    for (calibrate::Listener* listener : listeners) listener->keys_and_values(heads);
  };
  const nn::RoutingObserver routing = [&](const std::string& path, const std::vector<std::int64_t>& tokens) {
    for (calibrate::Listener* listener : listeners) listener->routed(path, tokens);
  };
  cancel_.check();
  for (calibrate::Listener* listener : listeners) {
    listener->begin(rows.batch);
    listener->block_input(hidden, rows.batch.rows(), model_.spec().decoder.hidden_size);
  }
  model_.block(entered_).forward(hidden, {.pool = pool_,
                                          .batch = rows.batch,
                                          .observer = &inputs,
                                          .cache_observer = &caches,
                                          .routing_observer = &routing,
                                          .calibrates_all_experts = experts == ExpertInputs::kAll});
}

void CalibratedModel::run_original(std::span<calibrate::Listener* const> listeners, ExpertInputs experts) {
  FARTHING_CHECK(streams_.original && !original_moved_);
  if (entered_ < 0) return;
  for (Rows& rows : rows_) observe(rows, rows.original.mutable_data<float>(), listeners, experts);
  original_moved_ = true;
}

void CalibratedModel::run_samples(std::span<calibrate::Listener* const> listeners, ExpertInputs experts) {
  FARTHING_CHECK(streams_.quantized);
  const std::string head = model_.spec().decoder.lm_head;
  for (const Rows& rows : rows_) {
    if (entered_ >= 0) {
      observe(rows, rows.hidden.clone().mutable_data<float>(), listeners, experts);
      continue;
    }
    cancel_.check();
    const Tensor hidden = model_.final_hidden(rows.hidden, pool_);
    for (calibrate::Listener* listener : listeners) {
      listener->begin(rows.batch);
      listener->inputs({&head, 1}, hidden.data<float>(), hidden.dim(0), hidden.dim(1));
    }
  }
}

void CalibratedModel::set_weight(const std::string& path, const QuantizedMatrix& weight,
                                 const std::optional<scheme::ActivationQuantization>& input) {
  if (entered_ < 0 || !streams_.quantized) return;  // nobody reads what comes out
  for (nn::Linear* linear : model_.block(entered_).linears()) {
    if (linear->path() != path) continue;
    linear->set_weight(weight);
    linear->set_input_quantization(input);
    return;
  }
  FARTHING_CHECK(false, "{} is not in block {}", path, entered_);
}

void CalibratedModel::set_cache_quantization(const scheme::ActivationQuantization& keys,
                                             const scheme::ActivationQuantization& values) {
  if (entered_ >= 0) model_.block(entered_).set_cache_quantization(keys, values);
}

void CalibratedModel::reload() {
  FARTHING_CHECK(entered_ >= 0, "no block is entered");
  model_.unload_block(entered_);
  // The original rows have passed: without others nobody needs the block any more.
  if (streams_.quantized) model_.block(entered_);
}

void CalibratedModel::leave(bool is_last) {
  if (entered_ < 0) return;
  if (is_last) {
    model_.unload_block(entered_);
    rows_.clear();
    original_moved_ = false;
  } else {
    advance_to(entered_ + 1);
  }
  entered_ = -1;
  source_->clear();
}

}  // namespace farthing::quantize
