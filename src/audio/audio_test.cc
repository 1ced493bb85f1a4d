#include <cmath>
#include <cstring>
#include <numbers>
#include <numeric>

#include "audio/log_mel.h"
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"

namespace farthing::audio {
namespace {

Code code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return Code::kInternal;
}

std::string little(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

std::string chunk(const std::string& name, const std::string& data) {
  return name + little(data.size(), 4) + data + (data.size() % 2 == 1 ? std::string(1, '\0') : "");
}

std::string format(int codec, int channels, int bits, int rate = 16000) {
  const int frame = channels * bits / 8;
  return chunk("fmt ", little(codec, 2) + little(channels, 2) + little(rate, 4) + little(rate * frame, 4) +
                           little(frame, 2) + little(bits, 2));
}

std::string wav(const std::string& chunks) {
  return "RIFF" + little(chunks.size() + 4, 4) + "WAVE" + chunks;
}

Waveform decoded(const std::string& file) {
  return decode(std::as_bytes(std::span(file)), "test.wav");
}

TEST(Wav, IntegersOfEverySizeSpanMinusOneToOne) {
  EXPECT_EQ(decoded(wav(format(1, 1, 8) + chunk("data", "\x80" + std::string(1, '\0') + "\xc0"))).samples,
            (std::vector<float>{0.0f, -1.0f, 0.5f}));
  for (const int bits : {16, 24, 32}) {
    const std::uint64_t half = std::uint64_t{1} << (bits - 2), lowest = std::uint64_t{1} << (bits - 1);
    const std::string data = little(half, bits / 8) + little(lowest, bits / 8);
    EXPECT_EQ(decoded(wav(format(1, 1, bits) + chunk("data", data))).samples,
              (std::vector<float>{0.5f, -1.0f}))
        << bits;
  }
}

TEST(Wav, FloatsAreTakenAsTheyAre) {
  const float single = 0.25f;
  const double twice = -1.5;
  std::string data(4, '\0'), wide(8, '\0');
  std::memcpy(data.data(), &single, 4);
  std::memcpy(wide.data(), &twice, 8);
  EXPECT_EQ(decoded(wav(format(3, 1, 32) + chunk("data", data))).samples, std::vector<float>{0.25f});
  EXPECT_EQ(decoded(wav(format(3, 1, 64) + chunk("data", wide))).samples, std::vector<float>{-1.5f});
}

TEST(Wav, ChannelsAreAveragedAndUnknownChunksSkipped) {
  const std::string data = little(0x4000, 2) + little(0xc000, 2) + little(0x4000, 2) + little(0x4000, 2);
  const Waveform sound = decoded(wav(chunk("LIST", "odd") + format(1, 2, 16, 8000) + chunk("data", data)));
  EXPECT_EQ(sound.sampling_rate, 8000);
  EXPECT_EQ(sound.samples, (std::vector<float>{0.0f, 0.5f}));
}

TEST(Wav, SizeOfTheDataMayBeOpen) {
  const std::string file = wav(format(1, 1, 16)) + "data" + little(0xffffffff, 4) + little(0x4000, 2);
  EXPECT_EQ(decoded(file).samples, std::vector<float>{0.5f});
}

TEST(Wav, EveryOtherFileIsAnError) {
  EXPECT_EQ(code_of([] { decoded(""); }), Code::kUnsupported);
  EXPECT_EQ(code_of([] { decoded("ID3 some mp3 file"); }), Code::kUnsupported);
  EXPECT_EQ(code_of([] { decoded(wav(format(2, 1, 4) + chunk("data", "1234"))); }), Code::kUnsupported);
  EXPECT_EQ(code_of([] { decoded(wav(format(1, 0, 16) + chunk("data", "1234"))); }), Code::kCorruptData);
  EXPECT_EQ(code_of([] { decoded(wav(chunk("fmt ", "short"))); }), Code::kCorruptData);
  EXPECT_EQ(code_of([] { decoded(wav(format(1, 1, 16))); }), Code::kCorruptData);
  EXPECT_EQ(code_of([] { decoded(wav(chunk("data", "1234"))); }), Code::kCorruptData);
  const std::string whole = wav(format(1, 2, 24) + chunk("data", std::string(600, 'x')));
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    try {
      decoded(whole.substr(0, size));
    } catch (const Error&) {
    }
  }
}

// A fading tone and a rising one.
Waveform tones(int count) {
  Waveform sound{16000, {}};
  for (int i = 0; i < count; ++i) {
    const double t = i / 16000.0, turn = 2 * std::numbers::pi * t;
    sound.samples.push_back(static_cast<float>(0.5 * std::sin(turn * 440) * std::exp(-3 * t) +
                                               0.2 * std::sin(turn * (200 + 3000 * t))));
  }
  return sound;
}

const Json kConfig = {
    {"feature_extractor_type", "WhisperFeatureExtractor"}, {"feature_size", 8}, {"chunk_length", 1}};

TEST(LogMel, FeaturesAreThoseOfTransformers) {
  const Waveform sound = tones(9000);
  const ProcessedSounds result = LogMelProcessor(kConfig).process(std::span(&sound, 1));
  const Tensor& features = result.tensors.at("input_features");
  ASSERT_EQ(features.shape(), (Shape{1, 8, 100}));
  const std::string bytes =
      read_text(std::filesystem::path(FARTHING_SOURCE_DIR) / "tests" / "data" / "audio" / "log_mel.f32");
  ASSERT_EQ(bytes.size(), features.num_bytes());
  std::vector<float> expected(bytes.size() / sizeof(float));
  std::memcpy(expected.data(), bytes.data(), bytes.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_NEAR(features.data<float>()[i], expected[i], 1e-4f) << i;
  EXPECT_EQ(result.num_frames, std::vector<std::int64_t>{57});
}

TEST(LogMel, MasksSilenceAndCutsWhatIsTooLong) {
  const std::vector<Waveform> sounds = {tones(160), tones(161), tones(40000)};
  const ProcessedSounds result = LogMelProcessor(kConfig).process(sounds);
  EXPECT_EQ(result.num_frames, (std::vector<std::int64_t>{1, 2, 100}));
  const auto mask = result.tensors.at("feature_attention_mask").span<std::int64_t>();
  EXPECT_EQ(std::accumulate(mask.begin(), mask.end(), std::int64_t{0}), 103);
}

TEST(LogMel, RefusesWhatItCannotHear) {
  const LogMelProcessor processor(kConfig);
  const auto process = [&](const Waveform& sound) { processor.process(std::span(&sound, 1)); };
  EXPECT_EQ(code_of([&] { process({8000, {0.0f}}); }), Code::kInvalidArgument);
  EXPECT_EQ(code_of([&] { process({16000, {}}); }), Code::kInvalidArgument);
  EXPECT_TRUE(processor.process({}).tensors.empty());
  const auto create = [](const Json& config) { const LogMelProcessor created(config); };
  EXPECT_EQ(code_of([&] {
              create({{"feature_extractor_type", "ClapFeatureExtractor"}});
            }),
            Code::kUnsupported);
  EXPECT_EQ(code_of([&] { create({{"n_fft", 0}}); }), Code::kInvalidArgument);
  EXPECT_EQ(code_of([&] { create({{"n_fft", 401}}); }), Code::kInvalidArgument);
  EXPECT_EQ(code_of([&] { create({{"hop_length", "x"}}); }), Code::kInvalidArgument);
}

}  // namespace
}  // namespace farthing::audio
