// Sounds as numbers in memory, and the decoder that makes them from WAV files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace farthing::audio {

/// One channel of samples, full scale from -1 to 1.
struct Waveform {
  int sampling_rate = 0;  // samples per second
  std::vector<float> samples;
};

/// Decodes a RIFF WAVE file held in memory: integers of 8, 16, 24 or 32 bits, or floats of 32 or 64. Several
/// channels are averaged. `origin` names the file in errors. Throws kUnsupported for other formats and
/// codecs, kCorruptData for truncated or damaged files.
Waveform decode(std::span<const std::byte> bytes, std::string_view origin);

/// Reads and decodes a file. Throws as decode() does, and kNotFound or kIo.
Waveform open(const std::filesystem::path& file);

}  // namespace farthing::audio
