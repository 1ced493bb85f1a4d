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
      calibration_(calibration),
      pool_(pool),
      reporter_(reporter),
      cancel_(cancel),
      streams_(streams),
      num_samples_(static_cast<std::int64_t>(calibration.samples.size())) {
  FARTHING_CHECK(!streams.paired || (streams.quantized && streams.original), "a pair has two rows");
  if (streams.paired) original_.emplace(spec, source_);
  if (streams_.sounds && streams_.quantized)
    enter_tower();
  else
    embed({});
}

CalibratedModel::~CalibratedModel() = default;

// Samples without a sound pass the tower by.
void CalibratedModel::enter_tower() {
  in_tower_ = true;
  for (const calibrate::Sample& sample : calibration_.samples) {
    cancel_.check();
    sound_lengths_.emplace_back();
    if (sample.prompt.pictures.empty()) continue;
    nn::SoundRows sounds = model_.audio_tower().begin(sample.prompt.pictures, pool_);
    rows_.push_back(
        {.batch = nn::Batch::of(sounds.lengths), .hidden = std::move(sounds.hidden), .original = {}});
    sound_lengths_.back() = std::move(sounds.lengths);
  }
  FARTHING_REQUIRE(!rows_.empty(), Code::kInvalidArgument,
                   "no calibration sample has a sound, on which the tower of sounds is calibrated",
                   {{"tower", model_.spec().audio->path}, {"samples", num_samples_}},
                   "give records an \"audio\", or leave the tower alone with --ignore");
}

void CalibratedModel::leave_tower() {
  advance_in_tower_to(model_.audio_tower().blocks().size());
  std::vector<nn::SoundRows> sounds;
  auto rows = rows_.begin();
  for (std::vector<std::int64_t>& lengths : sound_lengths_) {
    Tensor hidden = lengths.empty() ? Tensor() : std::move((rows++)->hidden);
    sounds.push_back({std::move(hidden), std::move(lengths)});
  }
  rows_.clear();
  in_tower_ = false;
  at_ = 0;
  embed(std::move(sounds));
}

void CalibratedModel::advance_in_tower_to(std::size_t block) {
  for (; static_cast<std::size_t>(at_) < block; ++at_) {
    for (Rows& rows : rows_) {
      cancel_.check();
      model_.audio_tower().blocks()[static_cast<std::size_t>(at_)].forward(
          rows.hidden.mutable_data<float>(), {.pool = pool_, .batch = rows.batch});
    }
  }
}

void CalibratedModel::embed(std::vector<nn::SoundRows> sounds) {
  std::vector<Tensor> parts;
  nn::Batch batch;
  const auto flush = [&] {
    if (parts.empty()) return;
    Rows rows{.batch = std::exchange(batch, {}), .hidden = {}, .original = {}, .entering = {}};
    rows.hidden = Tensor::empty(DType::kF32, {rows.batch.rows(), parts.front().dim(1)});
    std::byte* out = rows.hidden.mutable_bytes().data();
    for (const Tensor& part : parts) out = std::copy(part.bytes().begin(), part.bytes().end(), out);
    if (streams_.original) rows.original = streams_.quantized ? rows.hidden.clone() : rows.hidden;
    if (!streams_.quantized) rows.hidden = {};
    rows_.push_back(std::move(rows));
    parts.clear();
  };
  for (std::size_t i = 0; i < calibration_.samples.size(); ++i) {
    cancel_.check();
    const models::Prompt& prompt = calibration_.samples[i].prompt;
    const auto length = static_cast<std::int64_t>(prompt.ids.size());
    if (batch.rows() + length > plan::kRowsAtOnce) flush();
    const bool passed_tower = !sounds.empty() && !sounds[i].lengths.empty();
    models::Prepared prepared = passed_tower ? model_.prepare(prompt.ids, sounds[i], pool_)
                                             : model_.prepare(prompt.ids, prompt.pictures, pool_);
    if (passed_tower) sounds[i] = {};
    parts.push_back(std::move(prepared.hidden));
    batch.add(prepared.sequences.front());
    reporter_.progress({.stage = "embed",
                        .fraction = 0,
                        .done = static_cast<std::int64_t>(i + 1),
                        .total = num_samples_,
                        .detail = calibration_.samples[i].origin});
  }
  flush();
  model_.unload_inputs();
}

void CalibratedModel::advance_to(std::int64_t block) {
  for (; at_ < block; ++at_) {
    models::Model& original = streams_.paired && at_ == entered_ ? *original_ : model_;
    for (Rows& rows : rows_) {
      cancel_.check();
      const nn::ForwardContext context{.pool = pool_, .batch = rows.batch};
      if (rows.hidden.defined()) model_.block(at_).forward(rows.hidden.mutable_data<float>(), context);
      if (rows.original.defined() && !original_moved_)
        original.block(at_).forward(rows.original.mutable_data<float>(), context);
      rows.entering = {};
    }
    original_moved_ = false;
    model_.unload_block(at_);
    if (original_) original_->unload_block(at_);
  }
}

void CalibratedModel::enter(const plan::BlockPlan& block) {
  entered_audio_ = block.is_audio && in_tower_;
  if (entered_audio_) {
    advance_in_tower_to(static_cast<std::size_t>(block.index));
    entered_ = block.index;
    return;
  }
  if (block.is_audio) return;  // nobody reads what comes out
  if (in_tower_) leave_tower();
  const std::int64_t num_blocks = static_cast<std::int64_t>(model_.spec().decoder.blocks.size());
  advance_to(block.index < 0 ? num_blocks : block.index);
  entered_ = block.index;
  if (entered_ < 0) return;
  model_.block(entered_);
  // It is in the kernels' layout now; a linear is read again when its turn comes.
  model_.source().release(block.path);
}

void CalibratedModel::observe(models::Model& model, const nn::Batch& batch, Tensor hidden,
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
    listener->begin(batch);
    if (entered_ >= 0) listener->block_input(hidden.data<float>(), hidden.dim(0), hidden.dim(1));
  }
  if (entered_ < 0) {
    const std::string& head = model.spec().decoder.lm_head;
    const Tensor read = model.final_hidden(hidden, pool_);
    for (calibrate::Listener* listener : listeners)
      listener->inputs({&head, 1}, read.data<float>(), read.dim(0), read.dim(1));
    return;
  }
  block_of(model).forward(hidden.mutable_data<float>(),
                          {.pool = pool_,
                           .batch = batch,
                           .observer = &inputs,
                           .cache_observer = &caches,
                           .routing_observer = &routing,
                           .calibrates_all_experts = experts == ExpertInputs::kAll});
}

void CalibratedModel::run_original(std::span<calibrate::Listener* const> listeners, ExpertInputs experts) {
  FARTHING_CHECK(streams_.original && !original_moved_);
  if (entered_ < 0 || entered_audio_) return;
  for (Rows& rows : rows_) {
    if (streams_.paired && !listeners.empty()) rows.entering = rows.original.clone();
    observe(model_, rows.batch, rows.original, listeners, experts);
  }
  original_moved_ = true;
}

void CalibratedModel::run_samples(std::span<calibrate::Listener* const> listeners, ExpertInputs experts,
                                  calibrate::Listener* original) {
  FARTHING_CHECK(streams_.quantized && (original == nullptr || streams_.paired));
  for (const Rows& rows : rows_) {
    if (original != nullptr) {
      const Tensor& entering = rows.entering.defined() ? rows.entering : rows.original;
      observe(*original_, rows.batch, entering.clone(), {&original, 1}, experts);
    }
    observe(model_, rows.batch, rows.hidden.clone(), listeners, experts);
  }
}

void CalibratedModel::set_weight(const std::string& path, const QuantizedMatrix& weight,
                                 const std::optional<scheme::ActivationQuantization>& input) {
  if (entered_ < 0 || !streams_.quantized) return;  // nobody reads what comes out
  for (nn::Linear* linear : block().linears()) {
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
  if (entered_audio_) {
    if (!is_last) advance_in_tower_to(entered_index() + 1);
    entered_audio_ = false;
    entered_ = -1;
    return;
  }
  if (is_last) {
    model_.unload_block(entered_);
    if (original_) original_->unload_block(entered_);
    rows_.clear();
    original_moved_ = false;
  } else {
    advance_to(entered_ + 1);
  }
  entered_ = -1;
  source_->clear();
}

}  // namespace farthing::quantize
