// What Whisper's decoder begins with, as generation_config.json has it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/json.h"

namespace farthing::models {

/// The first ids of an answer to a sound: `before`, the most likely of `languages` where there are any,
/// `after`.
struct SpeechStart {
  std::vector<std::int32_t> before, languages, after;
};

/// The rules of WhisperGenerationMixin in transformers: language and task where the file names them, else its
/// forced_decoder_ids, in which null stands for the language that is heard; then no time stamps. Nothing
/// where the file says nothing of all that. Throws kCorruptData for lists of another form, kUnsupported for a
/// language that the file has no id for.
std::optional<SpeechStart> speech_start_of(const Json& generation_config);

}  // namespace farthing::models
