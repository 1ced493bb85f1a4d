#include "nn/audio_tower.h"

#include <algorithm>

#include "nn/names.h"

namespace farthing::nn {
namespace {

constexpr std::int64_t kFramesSeen = 3;  // frames that a convolution sees

// Rows of `kFramesSeen` neighbours, channel by channel, `step` apart; beyond the ends are zeros. `at(c, t)`
// is the value of channel c at time t.
template <typename At>
Tensor unfold_frames(const At& at, std::int64_t channels, std::int64_t length, std::int64_t step,
                     std::int64_t count) {
  Tensor rows = Tensor::zeros(DType::kF32, {count, channels * kFramesSeen});
  float* to = rows.mutable_data<float>();
  for (std::int64_t row = 0; row < count; ++row)
    for (std::int64_t c = 0; c < channels; ++c)
      for (std::int64_t k = 0; k < kFramesSeen; ++k, ++to)
        if (const std::int64_t t = row * step + k - 1; t >= 0 && t < length) *to = at(c, t);
  return rows;
}

}  // namespace

// One sound's frames [channels, frames], cut where it ends.
struct AudioTower::Sound {
  const float* features;
  std::int64_t states;  // of the tower that count
};

AudioTower::AudioTower(const AudioSpec& spec, const WeightSource& source)
    : spec_(spec),
      first_(load_convolution("conv1", spec.num_mel_bins, source)),
      second_(load_convolution("conv2", spec.hidden_size, source)),
      positions_(read_float32(source, join(spec.path, "embed_positions.weight"),
                              {spec.max_positions, spec.hidden_size})
                     .clone()),
      post_norm_(spec.post_norm, spec.path, source) {
  for (std::size_t i = 0; i < spec.blocks.size(); ++i)
    blocks_.emplace_back(spec.blocks[i], join(join(spec.path, "layers"), static_cast<std::int64_t>(i)),
                         static_cast<std::int64_t>(i), source);
  source.release(spec.path);
}

Linear AudioTower::load_convolution(const std::string& name, std::int64_t channels,
                                    const WeightSource& source) const {
  const std::string path = join(spec_.path, name);
  const Tensor weight = read_float32(source, path + ".weight", {spec_.hidden_size, channels, kFramesSeen});
  return Linear(path, weight.reshape({spec_.hidden_size, channels * kFramesSeen}),
                read_float32(source, path + ".bias", {spec_.hidden_size}).clone());
}

std::vector<AudioTower::Sound> AudioTower::read_sounds(const PictureTensors& tensors,
                                                       Tensor& features) const {
  const auto found = tensors.find("input_features");
  FARTHING_REQUIRE(found != tensors.end(), Code::kInvalidArgument,
                   "a tensor of the feature extractor is missing", {{"tensor", "input_features"}});
  features = to_float32(found->second);
  const std::int64_t frames = 2 * spec_.max_positions;
  FARTHING_REQUIRE(features.rank() == 3 && features.dim(1) == spec_.num_mel_bins && features.dim(2) == frames,
                   Code::kInvalidArgument, "the sounds have another shape than the tower hears",
                   {{"input_features", to_string(features.shape())},
                    {"expected", to_string({-1, spec_.num_mel_bins, frames})}},
                   "preprocessor_config.json and config.json disagree");
  std::vector<Sound> sounds;
  for (std::int64_t i = 0; i < features.dim(0); ++i)
    sounds.push_back({features.data<float>() + i * spec_.num_mel_bins * frames, spec_.max_positions});
  if (!spec_.masked) return sounds;
  const auto mask = read_sizes(tensors, "feature_attention_mask", frames);
  FARTHING_REQUIRE(mask.size() == sounds.size(), Code::kInvalidArgument,
                   "feature_attention_mask and input_features differ in number of sounds",
                   {{"masks", mask.size()}, {"sounds", sounds.size()}});
  for (std::size_t i = 0; i < sounds.size(); ++i) {
    const auto heard = static_cast<std::int64_t>(std::count(mask[i].begin(), mask[i].end(), 1));
    sounds[i].states = (heard + 1) / 2;
    FARTHING_REQUIRE(sounds[i].states >= spec_.pool, Code::kInvalidArgument, "a sound is too short",
                     {{"frames", heard}}, "give at least 40 milliseconds of sound");
  }
  return sounds;
}

// The first `states` rows [states, H] behind both convolutions, with their positions.
Tensor AudioTower::embed(const float* features, std::int64_t states, ThreadPool& pool) const {
  const std::int64_t frames = 2 * spec_.max_positions, width = spec_.hidden_size;
  const auto convolve = [&](const Linear& convolution, const Tensor& rows) {
    Tensor result = Tensor::empty(DType::kF32, {rows.dim(0), width});
    convolution.forward(rows.data<float>(), rows.dim(0), result.mutable_data<float>(), pool);
    kernels::activate(Activation::kGelu, result.mutable_data<float>(), result.numel(), pool);
    return result;
  };
  const Tensor first =
      convolve(first_, unfold_frames([&](std::int64_t c, std::int64_t t) { return features[c * frames + t]; },
                                     spec_.num_mel_bins, frames, 1, std::min(2 * states + 1, frames)));
  const float* rows = first.data<float>();
  Tensor hidden =
      convolve(second_, unfold_frames([&](std::int64_t c, std::int64_t t) { return rows[t * width + c]; },
                                      width, first.dim(0), 2, states));
  kernels::add(hidden.mutable_data<float>(), positions_.data<float>(), hidden.numel(), pool);
  return hidden;
}

SoundRows AudioTower::begin(const PictureTensors& tensors, ThreadPool& pool) const {
  Tensor features;
  const std::vector<Sound> sounds = read_sounds(tensors, features);
  SoundRows result;
  std::int64_t rows = 0;
  for (const Sound& sound : sounds) {
    result.lengths.push_back(sound.states);
    rows += sound.states;
  }
  result.hidden = Tensor::empty(DType::kF32, {rows, spec_.hidden_size});
  float* to = result.hidden.mutable_data<float>();
  for (const Sound& sound : sounds) {
    const Tensor own = embed(sound.features, sound.states, pool);
    to = std::copy_n(own.data<float>(), own.numel(), to);
  }
  return result;
}

PictureFeatures AudioTower::forward(const PictureTensors& tensors, ThreadPool& pool) {
  SoundRows rows = begin(tensors, pool);
  Scratch scratch;
  const Batch batch = Batch::of(rows.lengths);
  for (Block& block : blocks_)
    block.forward(rows.hidden.mutable_data<float>(), {.pool = pool, .batch = batch, .scratch = &scratch});
  return finish(rows, pool);
}

PictureFeatures AudioTower::finish(const SoundRows& rows, ThreadPool& pool) const {
  PictureFeatures result = pooled(rows);
  post_norm_.forward(result.rows.data<float>(), result.rows.dim(0), result.rows.mutable_data<float>(), pool);
  return result;
}

// Means of `pool` neighbouring states; what is left over at the end of a sound is dropped.
PictureFeatures AudioTower::pooled(const SoundRows& rows) const {
  const std::int64_t width = spec_.hidden_size;
  PictureFeatures result;
  std::int64_t count = 0;
  for (const std::int64_t length : rows.lengths) {
    result.grids.push_back({.frames = 1, .rows = 1, .columns = length / spec_.pool});
    count += length / spec_.pool;
  }
  result.rows = Tensor::zeros(DType::kF32, {count, width});
  float* to = result.rows.mutable_data<float>();
  const float* sound = rows.hidden.data<float>();
  for (const std::int64_t length : rows.lengths) {
    for (std::int64_t i = 0; i < length / spec_.pool; ++i, to += width) {
      for (std::int64_t k = 0; k < spec_.pool; ++k)
        for (std::int64_t c = 0; c < width; ++c) to[c] += sound[(i * spec_.pool + k) * width + c];
      for (std::int64_t c = 0; c < width; ++c) to[c] /= static_cast<float>(spec_.pool);
    }
    sound += length * width;
  }
  return result;
}

std::size_t AudioTower::num_bytes() const {
  std::size_t sum =
      first_.num_bytes() + second_.num_bytes() + positions_.num_bytes() + post_norm_.num_bytes();
  for (const Block& block : blocks_) sum += block.num_bytes();
  return sum;
}

}  // namespace farthing::nn
