#include "audio/log_mel.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace farthing::audio {
namespace {

constexpr std::string_view kConfigHint = "check preprocessor_config.json of the checkpoint";
constexpr double kLowestEnergy = 1e-10;
constexpr double kRange = 8.0;  // powers of ten below the loudest band of the sound

int read_count(const Json& config, const char* key, int fallback, int most) {
  const auto found = config.find(key);
  if (found == config.end() || found->is_null()) return fallback;
  const double value = found->is_number() ? found->get<double>() : 0.0;
  FARTHING_REQUIRE(value >= 1 && value <= most && value == std::floor(value), Code::kInvalidArgument,
                   "a setting of the feature extractor makes no sense",
                   {{"key", key}, {"wanted", fmt::format("an integer from 1 to {}", most)}},
                   std::string(kConfigHint));
  return static_cast<int>(value);
}

// Slaney's scale: even up to 1000 Hz, then logarithmic.
constexpr double kBreakHertz = 1000.0, kBreakMel = 15.0;
const double kStep = 27.0 / std::log(6.4);

double to_mel(double hertz) {
  return hertz < kBreakHertz ? 3.0 * hertz / 200.0 : kBreakMel + std::log(hertz / kBreakHertz) * kStep;
}

double to_hertz(double mel) {
  return mel < kBreakMel ? 200.0 * mel / 3.0 : kBreakHertz * std::exp((mel - kBreakMel) / kStep);
}

}  // namespace

LogMelProcessor LogMelProcessor::open(const std::filesystem::path& model_directory) {
  const std::filesystem::path whole = model_directory / "processor_config.json";
  if (std::filesystem::exists(whole)) {
    const Json config = read_json(whole);
    if (const auto it = config.find("feature_extractor"); it != config.end() && it->is_object())
      return LogMelProcessor(*it);
  }
  const std::filesystem::path own = model_directory / "preprocessor_config.json";
  FARTHING_REQUIRE(std::filesystem::exists(own), Code::kNotFound,
                   "the checkpoint does not say how sounds are prepared", {{"file", own.string()}},
                   "copy preprocessor_config.json of the original model into the checkpoint");
  return LogMelProcessor(read_json(own));
}

LogMelProcessor::LogMelProcessor(const Json& config) {
  const std::string type = config.value("feature_extractor_type", "WhisperFeatureExtractor");
  FARTHING_REQUIRE(type == "WhisperFeatureExtractor", Code::kUnsupported, "unknown kind of feature extractor",
                   {{"feature_extractor_type", type}, {"known", "WhisperFeatureExtractor"}});
  num_bands_ = read_count(config, "feature_size", 80, 1024);
  sampling_rate_ = read_count(config, "sampling_rate", 16000, 1 << 20);
  hop_length_ = read_count(config, "hop_length", 160, 1 << 16);
  fft_size_ = read_count(config, "n_fft", 400, 1 << 14);
  num_samples_ = read_count(config, "chunk_length", 30, 1 << 10) * sampling_rate_;
  FARTHING_REQUIRE(
      fft_size_ % 2 == 0 && fft_size_ <= 4096 && num_samples_ > fft_size_ && num_samples_ >= hop_length_,
      Code::kInvalidArgument, "the windows of the feature extractor do not fit its chunks",
      {{"n_fft", fft_size_}, {"hop_length", hop_length_}, {"samples", num_samples_}},
      std::string(kConfigHint));

  const int half = fft_size_ / 2;
  const auto angle = [&](int i) { return 2.0 * std::numbers::pi * (i % fft_size_) / fft_size_; };
  for (int i = 0; i < fft_size_; ++i) window_.push_back(0.5 - 0.5 * std::cos(angle(i)));
  for (int i = 0; i <= half; ++i)
    for (int k = 0; k <= half; ++k) {
      cosines_.push_back(std::cos(angle(i * k)));
      sines_.push_back(std::sin(angle(i * k)));
    }
  // Triangles whose corners are evenly spaced in mel, each of the same area.
  const double highest = to_mel(8000.0);
  const auto corner = [&](int i) { return to_hertz(highest * i / (num_bands_ + 1)); };
  for (int band = 0; band < num_bands_; ++band) {
    const double left = corner(band), middle = corner(band + 1), right = corner(band + 2);
    Band& triangle = bands_.emplace_back();
    for (int k = 0; k <= fft_size_ / 2; ++k) {
      const double hertz = static_cast<double>(k) * sampling_rate_ / fft_size_;
      const double height = std::min((hertz - left) / (middle - left), (right - hertz) / (right - middle));
      if (height <= 0.0) continue;
      if (triangle.weights.empty()) triangle.first = k;
      triangle.weights.push_back(height * 2.0 / (right - left));
    }
  }
}

ProcessedSounds LogMelProcessor::process(std::span<const Waveform> sounds) const {
  ProcessedSounds result;
  if (sounds.empty()) return result;
  const std::int64_t count = static_cast<std::int64_t>(sounds.size()), frames = num_samples_ / hop_length_;
  Tensor features = Tensor::empty(DType::kF32, {count, num_bands_, frames});
  Tensor mask = Tensor::zeros(DType::kI64, {count, frames});
  for (std::int64_t i = 0; i < count; ++i) {
    const Waveform& sound = sounds[static_cast<std::size_t>(i)];
    FARTHING_REQUIRE(sound.sampling_rate == sampling_rate_, Code::kInvalidArgument,
                     "the sound has another sampling rate than the model hears",
                     {{"sampling_rate", sound.sampling_rate}, {"model", sampling_rate_}},
                     fmt::format("convert it: ffmpeg -i FILE -ar {} -ac 1 sound.wav", sampling_rate_));
    FARTHING_REQUIRE(!sound.samples.empty(), Code::kInvalidArgument, "the sound is empty");
    std::vector<float> samples = sound.samples;
    const std::size_t length = std::min(samples.size(), static_cast<std::size_t>(num_samples_));
    samples.resize(static_cast<std::size_t>(num_samples_), 0.0f);
    log_mel(samples, features.mutable_data<float>() + i * num_bands_ * frames);
    const auto heard = std::min(static_cast<std::int64_t>(length - 1) / hop_length_ + 1, frames);
    std::fill_n(mask.mutable_data<std::int64_t>() + i * frames, heard, std::int64_t{1});
    result.num_frames.push_back(heard);
  }
  result.tensors["input_features"] = std::move(features);
  result.tensors["feature_attention_mask"] = std::move(mask);
  return result;
}

// The squared amplitude of every frequency, by the definition of the Fourier transform: a few hundred points
// need no faster one. Cosines are even and sines are odd, so the frame is folded first.
void LogMelProcessor::energies(std::span<const double> frame, std::vector<double>& result) const {
  const std::size_t half = frame.size() / 2, width = half + 1;
  std::vector<double> real(width, 0.0), imaginary(width, 0.0);
  for (std::size_t i = 0; i <= half; ++i) {
    const bool folds = i != 0 && i != half;
    const double mirrored = folds ? frame[frame.size() - i] : 0.0;
    const double even = frame[i] + mirrored, odd = folds ? frame[i] - mirrored : 0.0;
    const double *cosines = cosines_.data() + i * width, *sines = sines_.data() + i * width;
    for (std::size_t k = 0; k < width; ++k) {
      real[k] += even * cosines[k];
      imaginary[k] += odd * sines[k];
    }
  }
  for (std::size_t k = 0; k < width; ++k) result[k] = real[k] * real[k] + imaginary[k] * imaginary[k];
}

// features [bands, frames]. A frame is centred on every hop; beyond the ends the sound is mirrored.
void LogMelProcessor::log_mel(std::span<const float> samples, float* features) const {
  const int length = static_cast<int>(samples.size()), frames = length / hop_length_, half = fft_size_ / 2;
  std::vector<double> frame(window_.size()), energy(static_cast<std::size_t>(half) + 1), all;
  all.reserve(static_cast<std::size_t>(frames) * bands_.size());
  double loudest = std::log10(kLowestEnergy);
  for (int t = 0; t < frames; ++t) {
    for (int i = 0; i < fft_size_; ++i) {
      int at = std::abs(t * hop_length_ - half + i);
      if (at >= length) at = 2 * (length - 1) - at;
      const auto n = static_cast<std::size_t>(i);
      frame[n] = window_[n] * static_cast<double>(samples[static_cast<std::size_t>(at)]);
    }
    energies(frame, energy);
    for (const Band& band : bands_) {
      double sum = 0.0;
      for (std::size_t k = 0; k < band.weights.size(); ++k)
        sum += band.weights[k] * energy[static_cast<std::size_t>(band.first) + k];
      all.push_back(std::log10(std::max(sum, kLowestEnergy)));
      loudest = std::max(loudest, all.back());
    }
  }
  for (std::size_t band = 0; band < bands_.size(); ++band)
    for (std::size_t t = 0; t < all.size() / bands_.size(); ++t)
      *features++ =
          static_cast<float>((std::max(all[t * bands_.size() + band], loudest - kRange) + 4.0) / 4.0);
}

}  // namespace farthing::audio
