#include "models/model.h"

#include <algorithm>
#include <array>

#include "models/picture_places.h"
#include "nn/embedding.h"
#include "nn/head.h"
#include "nn/names.h"
#include "nn/projector.h"
#include "nn/rope.h"
#include "nn/tile_map.h"
#include "nn/vision_tower.h"

namespace farthing::models {

// Everything that is loaded, each part on first use.
struct Model::Parts {
  std::optional<nn::Embedding> embedding;
  std::vector<std::optional<nn::Block>> blocks;
  std::optional<nn::FinalNorm> final_norm;
  std::optional<nn::Head> head;
  std::unique_ptr<nn::VisionTower> tower;
  std::optional<nn::AudioTower> audio_tower;
  std::optional<nn::Projector> projector;
  nn::Scratch scratch;
};

namespace {

template <typename Part, typename... Arguments>
Part& loaded(std::optional<Part>& part, const Arguments&... arguments) {
  if (!part) part.emplace(arguments...);
  return *part;
}

Tensor columns(const Tensor& matrix, std::int64_t first, std::int64_t count) {
  Tensor result = Tensor::empty(DType::kF32, {matrix.dim(0), count});
  float* to = result.mutable_data<float>();
  for (std::int64_t row = 0; row < matrix.dim(0); ++row)
    to = std::copy_n(matrix.data<float>() + row * matrix.dim(1) + first, count, to);
  return result;
}

}  // namespace

Model Model::open(const std::filesystem::path& directory, WeightForm form) {
  auto checkpoint = std::make_shared<const checkpoint::Checkpoint>(checkpoint::Checkpoint::open(directory));
  FARTHING_REQUIRE(!checkpoint->config().empty(), Code::kNotFound, "the model has no config.json",
                   {{"file", (checkpoint->directory() / "config.json").string()}},
                   "download config.json beside the weights");
  nn::ModelSpec spec = declare(*checkpoint);
  auto source = std::make_shared<CheckpointSource>(std::move(checkpoint), spec, form);
  source->require_complete();
  return Model(std::move(spec), std::move(source));
}

Model::Model(nn::ModelSpec spec, std::shared_ptr<const nn::WeightSource> source)
    : spec_(std::make_shared<const nn::ModelSpec>(std::move(spec))),
      source_(std::move(source)),
      parts_(std::make_shared<Parts>()) {
  parts_->blocks.resize(spec_->decoder.blocks.size());
}

void Model::load(ThreadPool& pool) {
  loaded(parts_->embedding, spec_->decoder, *source_);
  loaded(parts_->final_norm, spec_->decoder, *source_);
  loaded(parts_->head, spec_->decoder, parts_->embedding->tokens(), *source_);
  if (spec_->vision || spec_->audio) tower();
  if (spec_->projector) loaded(parts_->projector, *spec_->projector, *source_);
  pool.parallel_for(static_cast<std::int64_t>(parts_->blocks.size()), 1,
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) block(i);
                    });
}

std::size_t Model::num_bytes() const {
  std::size_t sum = 0;
  const auto add = [&](const auto& part) { sum += part ? part->num_bytes() : 0; };
  add(parts_->embedding);
  for (const std::optional<nn::Block>& block : parts_->blocks) add(block);
  add(parts_->final_norm);
  add(parts_->head);
  add(parts_->tower);
  add(parts_->audio_tower);
  add(parts_->projector);
  return sum;
}

std::size_t Model::bytes_per_token() const {
  std::size_t sum = 0;
  for (const std::optional<nn::Block>& block : parts_->blocks) sum += block ? block->num_bytes() : 0;
  return sum + (parts_->head ? parts_->head->num_bytes() : 0);
}

Tensor Model::embed(std::span<const std::int32_t> ids, std::span<const std::int64_t> positions,
                    ThreadPool& pool) {
  const nn::Embedding& embedding = loaded(parts_->embedding, spec_->decoder, *source_);
  Tensor hidden =
      Tensor::empty(DType::kF32, {static_cast<std::int64_t>(ids.size()), spec_->decoder.hidden_size});
  embedding.forward(ids, positions, spec_->image_token_id, hidden.mutable_data<float>(), pool);
  return hidden;
}

nn::VisionTower& Model::tower() {
  if (spec_->audio) return audio_tower();
  if (!parts_->tower) parts_->tower = nn::load_vision_tower(*spec_->vision, *source_);
  return *parts_->tower;
}

nn::AudioTower& Model::audio_tower() {
  return loaded(parts_->audio_tower, *spec_->audio, *source_);
}

nn::PictureFeatures Model::image_features(const PictureTensors& pictures, ThreadPool& pool,
                                          std::vector<Tensor>* stacked) {
  FARTHING_REQUIRE(spec_->vision || spec_->audio, Code::kInvalidArgument,
                   "this model takes neither pictures nor sounds", {{"architecture", spec_->architecture}});
  nn::VisionTower& tower = this->tower();
  if (!spec_->projector) return tower.forward(pictures, pool);
  const nn::Projector& projector = loaded(parts_->projector, *spec_->projector, *source_);
  if (spec_->tile_map) {
    const nn::TileMapSpec& map = *spec_->tile_map;
    nn::PictureFeatures tiles = projector.forward(
        tower.forward(nn::without_padding_views(map, *spec_->vision, pictures), pool), pool);
    const Tensor newline = nn::read_float32(*source_, map.newline, {spec_->decoder.hidden_size});
    tiles.rows = nn::join_tiles(map, *spec_->vision, pictures, tiles, newline);
    return tiles;
  }
  nn::PictureFeatures features = tower.forward(pictures, pool);
  if (spec_->deepstack.empty()) return projector.forward(std::move(features), pool);

  // The tower's layers lie side by side: the decoder's input first, then one layer per deepstack projector.
  const std::int64_t width = spec_->vision->hidden_size;
  for (std::size_t i = 0; i < spec_->deepstack.size() && stacked != nullptr; ++i) {
    const nn::Projector own(spec_->deepstack[i], *source_);
    nn::PictureFeatures layer{columns(features.rows, static_cast<std::int64_t>(i + 1) * width, width),
                              features.grids};
    stacked->push_back(own.forward(std::move(layer), pool).rows);
  }
  features.rows = columns(features.rows, 0, width);
  return projector.forward(std::move(features), pool);
}

Prepared Model::prepare(std::span<const std::int32_t> ids, const PictureTensors& pictures, ThreadPool& pool) {
  return prepare(ids, std::array{static_cast<std::int64_t>(ids.size())}, pictures, pool);
}

Prepared Model::prepare(std::span<const std::int32_t> ids, std::span<const std::int64_t> lengths,
                        const PictureTensors& pictures, ThreadPool& pool) {
  FARTHING_REQUIRE(!spec_->decoder.reads_sounds() || !pictures.empty(), Code::kInvalidArgument,
                   "the model attends to a sound, and there is none", {{"architecture", spec_->architecture}},
                   "a model of speech cannot read texts alone: run it with --audio FILE");
  nn::PictureFeatures features{Tensor::empty(DType::kF32, {0, spec_->decoder.hidden_size}), {}};
  std::vector<Tensor> stacked;
  if (!pictures.empty()) features = image_features(pictures, pool, &stacked);
  return put_together(ids, lengths, PicturePlaces(*spec_, features, std::move(stacked)), pool);
}

Prepared Model::prepare(std::span<const std::int32_t> ids, const nn::SoundRows& sounds, ThreadPool& pool) {
  nn::PictureFeatures features = audio_tower().finish(sounds, pool);
  if (spec_->projector)
    features = loaded(parts_->projector, *spec_->projector, *source_).forward(std::move(features), pool);
  return put_together(ids, std::array{static_cast<std::int64_t>(ids.size())},
                      PicturePlaces(*spec_, features, {}), pool);
}

Prepared Model::put_together(std::span<const std::int32_t> ids, std::span<const std::int64_t> lengths,
                             PicturePlaces places, ThreadPool& pool) {
  Prepared result;
  std::vector<std::int64_t> indices;  // of a token in its sequence: learned positions, which have one axis
  for (const std::int64_t length : lengths) {
    result.sequences.push_back(
        places.sequence(ids.subspan(indices.size(), static_cast<std::size_t>(length))));
    for (std::int64_t i = 0; i < length; ++i) indices.push_back(i);
  }
  FARTHING_CHECK(indices.size() == ids.size(), "{} ids in sequences of {}", ids.size(), indices.size());
  places.require_all_used();
  result.hidden = embed(ids, indices, pool);
  places.put_into(ids, result.hidden);
  return result;
}

nn::Batch Prepared::batch() const {
  nn::Batch batch;
  for (const nn::Sequence& sequence : sequences) batch.add(sequence);
  return batch;
}

void Model::unload_inputs() {
  parts_->tower.reset();
  parts_->audio_tower.reset();
  parts_->projector.reset();
  parts_->embedding.reset();
}

nn::Block& Model::block(std::int64_t index) {
  const auto i = static_cast<std::size_t>(index);
  FARTHING_CHECK(i < parts_->blocks.size(), "block {} of {}", index, parts_->blocks.size());
  const nn::DecoderSpec& decoder = spec_->decoder;
  return loaded(parts_->blocks[i], decoder.blocks[i], nn::join(nn::join(decoder.path, decoder.layers), index),
                index, *source_);
}

void Model::unload_block(std::int64_t index) {
  parts_->blocks.at(static_cast<std::size_t>(index)).reset();
}

Tensor Model::final_hidden(const Tensor& hidden, ThreadPool& pool) {
  return loaded(parts_->final_norm, spec_->decoder, *source_).forward(hidden, pool);
}

Tensor Model::logits(const Tensor& final_hidden, ThreadPool& pool) {
  const nn::Embedding& embedding = loaded(parts_->embedding, spec_->decoder, *source_);
  return loaded(parts_->head, spec_->decoder, embedding.tokens(), *source_).forward(final_hidden, pool);
}

Tensor Model::forward(Tensor hidden, const nn::Batch& batch, ThreadPool& pool,
                      std::vector<Tensor>* hidden_states) {
  FARTHING_CHECK(hidden.rank() == 2 && hidden.dim(0) == batch.rows(), "{} for a batch of {} rows",
                 to_string(hidden.shape()), batch.rows());
  for (std::size_t i = 0; i < parts_->blocks.size(); ++i) {
    if (!block(static_cast<std::int64_t>(i)).takes_part(batch)) continue;
    if (hidden_states != nullptr) hidden_states->push_back(hidden.clone());
    block(static_cast<std::int64_t>(i))
        .forward(hidden.mutable_data<float>(), {.pool = pool, .batch = batch, .scratch = &parts_->scratch});
  }
  Tensor result = final_hidden(hidden, pool);
  if (hidden_states != nullptr) hidden_states->push_back(result);
  constexpr std::int64_t kRowsWorthKeeping =
      64;  // the buffers of a decode step; those of a long prompt are given back
  if (batch.rows() > kRowsWorthKeeping) parts_->scratch = {};
  return result;
}

nn::SequenceCache Model::new_cache() const {
  nn::SequenceCache cache;
  for (const nn::BlockSpec& block : spec_->decoder.blocks) {
    cache.layers.emplace_back(block.attention.key_width(), block.attention.value_width());
    const nn::AttentionSpec& cross = block.cross_attention ? *block.cross_attention : block.attention;
    if (spec_->decoder.reads_pictures() || spec_->decoder.reads_sounds())
      cache.cross_layers.emplace_back(cross.key_width(), cross.value_width());
  }
  const auto& blocks = spec_->decoder.blocks;
  const auto first = std::find_if(blocks.begin(), blocks.end(),
                                  [](const nn::BlockSpec& block) { return !block.attention.cross; });
  cache.token_layer = first == blocks.end() ? 0 : static_cast<std::size_t>(first - blocks.begin());
  return cache;
}

bool Model::cache_stays_valid(std::int64_t before, std::int64_t after) const {
  const std::vector<nn::BlockSpec>& blocks = spec_->decoder.blocks;
  return std::all_of(blocks.begin(), blocks.end(), [&](const nn::BlockSpec& block) {
    return !block.attention.rope || nn::keys_stay_valid(*block.attention.rope, before, after);
  });
}

}  // namespace farthing::models
