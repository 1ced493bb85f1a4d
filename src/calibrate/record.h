// One thing to calibrate on, as found in a file, before any tokenizer has seen it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "image/image.h"

namespace farthing::calibrate {

struct Record {
  std::string origin;                         // "seeds.jsonl:12", for the ledger
  std::string text;                           // plain text; used when there are no messages
  bool joinable = false;                      // a document of a longer text: neighbours may share a sample
  Json messages;                              // a chat: list of {role, content}; null when there is none
  std::vector<std::filesystem::path> images;  // in the order of the chat's image parts
  std::vector<std::pair<std::string, std::string>>
      embedded_images;                        // (name, file bytes) of built-in pictures
  std::vector<std::filesystem::path> sounds;  // WAV files, as the images; `text` is then what they say
  std::vector<std::int32_t> ids;              // tokenised already; nothing else is used then
};

struct RecordOptions {
  std::string question = "What does this image show?";  // asked about each picture of a folder
  std::string system;                                   // said before the question; empty: nothing
  bool pictures = false;  // the model reads pictures: the built-in set then has some
};

/// The records of a calibration SPEC of the command line: `builtin`, a .txt (documents between blank lines),
/// .jsonl/.json (also .gz) with `text`, `messages`, `conversations` or `input_ids`, a folder of pictures,
/// `text:a sentence` (or several, between blank lines), or a data set's name in the Hugging Face cache.
/// Throws kNotFound saying what to download and where to put it.
std::vector<Record> read_records(const std::string& spec, const RecordOptions& options);

}  // namespace farthing::calibrate
