// A tower of encoder blocks over the frames of a sound.
#pragma once

#include <memory>
#include <vector>

#include "nn/vision_tower.h"

namespace farthing::nn {

/// Rows of sounds on their way through the tower, sound after sound.
struct SoundRows {
  Tensor hidden;  // F32 [rows, H]
  std::vector<std::int64_t> lengths;
};

/// Its features of every sound are one row of a grid each, as many as the tower makes or, where silence
/// behind the sound is left out, as the sound fills. `forward` is `begin`, every block, and `finish`; those
/// who calibrate the blocks go the same way step by step.
class AudioTower : public VisionTower {
 public:
  AudioTower(const AudioSpec& spec, const WeightSource& source);

  PictureFeatures forward(const PictureTensors& tensors, ThreadPool& pool) override;
  std::size_t num_bytes() const override;

  /// What enters the first block: behind both convolutions, with positions. Throws kInvalidArgument for
  /// tensors that do not fit the tower.
  SoundRows begin(const PictureTensors& tensors, ThreadPool& pool) const;
  std::vector<Block>& blocks() { return blocks_; }
  /// What has passed the last block becomes features.
  PictureFeatures finish(const SoundRows& rows, ThreadPool& pool) const;

 private:
  struct Sound;

  Linear load_convolution(const std::string& name, std::int64_t channels, const WeightSource& source) const;
  std::vector<Sound> read_sounds(const PictureTensors& tensors, Tensor& features) const;
  Tensor embed(const float* features, std::int64_t states, ThreadPool& pool) const;
  PictureFeatures pooled(const SoundRows& rows) const;

  AudioSpec spec_;
  Linear first_, second_;
  Tensor positions_;  // F32 [positions, H]
  Norm post_norm_;
  std::vector<Block> blocks_;
};

}  // namespace farthing::nn
