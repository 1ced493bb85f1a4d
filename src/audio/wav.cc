// RIFF WAVE: chunks of a name, a size and that many bytes, of which "fmt " says what "data" holds.
#include <cstring>
#include <optional>

#include "audio/waveform.h"

#include "base/error.h"
#include "base/file.h"

namespace farthing::audio {
namespace {

enum Codec : std::uint16_t { kIntegers = 1, kFloats = 3, kExtensible = 0xfffe };

constexpr std::string_view kConvertHint = "convert it: ffmpeg -i FILE -ar 16000 -ac 1 sound.wav";

using Bytes = std::span<const std::byte>;

std::string text_at(Bytes bytes, std::size_t offset) {
  return std::string(reinterpret_cast<const char*>(bytes.data()) + offset, 4);
}

// A number of up to eight bytes, the lowest first.
std::uint64_t number_at(Bytes bytes, std::size_t offset, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = size; i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(bytes[offset + i]);
  return value;
}

struct Format {
  std::uint16_t codec = 0;
  std::size_t channels = 0, bits = 0;
  int sampling_rate = 0;

  std::size_t bytes_per_sample() const { return bits / 8; }
};

Format read_format(Bytes chunk, std::string_view origin) {
  FARTHING_REQUIRE(chunk.size() >= 16, Code::kCorruptData, "the sound file is damaged or truncated",
                   {{"file", origin}, {"reason", "its format chunk is too short"}}, "fetch the file again");
  Format format{.codec = static_cast<std::uint16_t>(number_at(chunk, 0, 2)),
                .channels = number_at(chunk, 2, 2),
                .bits = number_at(chunk, 14, 2),
                .sampling_rate = static_cast<int>(number_at(chunk, 4, 4) & 0x7fffffff)};
  // The real codec opens the identifier that the extension ends with.
  if (format.codec == kExtensible && chunk.size() >= 26)
    format.codec = static_cast<std::uint16_t>(number_at(chunk, 24, 2));
  const bool integers =
      format.codec == kIntegers && format.bits % 8 == 0 && format.bits >= 8 && format.bits <= 32;
  const bool floats = format.codec == kFloats && (format.bits == 32 || format.bits == 64);
  FARTHING_REQUIRE(integers || floats, Code::kUnsupported, "a WAV file with a codec that is not read",
                   {{"file", origin}, {"codec", format.codec}, {"bits", format.bits}},
                   std::string(kConvertHint));
  FARTHING_REQUIRE(format.channels > 0 && format.sampling_rate > 0, Code::kCorruptData,
                   "the sound file is damaged or truncated",
                   {{"file", origin}, {"channels", format.channels}, {"rate", format.sampling_rate}},
                   "fetch the file again");
  return format;
}

float sample_at(Bytes data, std::size_t offset, const Format& format) {
  const std::uint64_t raw = number_at(data, offset, format.bytes_per_sample());
  if (format.codec == kFloats && format.bits == 64) {
    double value;
    std::memcpy(&value, &raw, sizeof(value));
    return static_cast<float>(value);
  }
  const auto low = static_cast<std::uint32_t>(raw);
  if (format.codec == kFloats) {
    float value;
    std::memcpy(&value, &low, sizeof(value));
    return value;
  }
  if (format.bits == 8) return (static_cast<float>(low) - 128.0f) / 128.0f;  // the only ones without a sign
  const auto aligned = static_cast<std::int32_t>(low << (32 - format.bits));
  return static_cast<float>(static_cast<double>(aligned) / 2147483648.0);
}

Waveform read_samples(Bytes data, const Format& format) {
  const std::size_t frame = format.channels * format.bytes_per_sample();
  Waveform result{format.sampling_rate, std::vector<float>(data.size() / frame)};
  for (std::size_t i = 0; i < result.samples.size(); ++i) {
    float sum = 0.0f;
    for (std::size_t c = 0; c < format.channels; ++c)
      sum += sample_at(data, i * frame + c * format.bytes_per_sample(), format);
    result.samples[i] = sum / static_cast<float>(format.channels);
  }
  return result;
}

}  // namespace

Waveform decode(std::span<const std::byte> bytes, std::string_view origin) {
  FARTHING_REQUIRE(bytes.size() >= 12 && text_at(bytes, 0) == "RIFF" && text_at(bytes, 8) == "WAVE",
                   Code::kUnsupported, "not a WAV file", {{"file", origin}}, std::string(kConvertHint));
  std::optional<Format> format;
  for (std::size_t at = 12; at + 8 <= bytes.size();) {
    const std::string name = text_at(bytes, at);
    const std::size_t size = number_at(bytes, at + 4, 4), rest = bytes.size() - at - 8;
    // Programs that write to a pipe leave the size of the data open.
    const Bytes chunk = bytes.subspan(at + 8, std::min(size, rest));
    if (name == "fmt ") format = read_format(chunk, origin);
    if (name == "data" && format) return read_samples(chunk, *format);
    at += 8 + chunk.size() + chunk.size() % 2;
  }
  throw Error(Code::kCorruptData, "the sound file is damaged or truncated",
              {{"file", origin}, {"reason", format ? "it has no data" : "its format is missing"}},
              "fetch the file again");
}

Waveform open(const std::filesystem::path& file) {
  const MappedFile mapping(file);
  return decode(mapping.bytes(), file.string());
}

}  // namespace farthing::audio
