// What Whisper and its like hear: the logarithm of the energy in bands of the mel scale, frame by frame
// (Radford et al. 2022, section 2.2; WhisperFeatureExtractor of transformers).
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "audio/waveform.h"

#include "base/json.h"
#include "tensor/tensor.h"

namespace farthing::audio {

struct ProcessedSounds {
  /// input_features [sounds, bands, frames] F32 and feature_attention_mask [sounds, frames] I64, 1 for frames
  /// of the sound and 0 for silence added behind it. Empty without sounds.
  std::map<std::string, Tensor> tensors;
  std::vector<std::int64_t> num_frames;  // of each sound, at most `frames`
};

class LogMelProcessor {
 public:
  /// Reads the settings in `model_directory`: the object feature_extractor of processor_config.json, else
  /// preprocessor_config.json. Throws kNotFound without either, kUnsupported for another kind of feature
  /// extractor, kInvalidArgument for settings that make no sense.
  static LogMelProcessor open(const std::filesystem::path& model_directory);
  explicit LogMelProcessor(const Json& config);

  int sampling_rate() const { return sampling_rate_; }

  /// Cuts each sound to chunk_length seconds, or fills it up with silence. Throws kInvalidArgument for a
  /// sound of another sampling rate and for an empty one.
  ProcessedSounds process(std::span<const Waveform> sounds) const;

 private:
  void log_mel(std::span<const float> samples, float* features) const;
  void energies(std::span<const double> frame, std::vector<double>& result) const;

  int num_bands_, sampling_rate_, hop_length_, num_samples_, fft_size_;
  std::vector<double> window_;           // [fft size], a periodic Hann window
  std::vector<double> cosines_, sines_;  // of 2 pi i k / fft size, [half of that size and one]^2
  struct Band {
    int first = 0;
    std::vector<double> weights;
  };
  std::vector<Band> bands_;  // weights of consecutive frequencies
};

}  // namespace farthing::audio
