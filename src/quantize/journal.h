// What a quantization has finished so far, kept beside the half-written result: a killed run started again
// with the same command goes on after the last finished block and ends in the same bytes.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/json.h"

namespace farthing::quantize {

class Journal {
 public:
  /// Opens `directory`/journal.json, or starts an empty one. `fingerprint` says what the run depends on:
  /// source, plan, calibration, version. Throws kInvalidArgument when the journal there belongs to another
  /// run, kCorruptData when it cannot be read.
  Journal(const std::filesystem::path& directory, std::string fingerprint);

  /// Whether block `name` is finished, and what was noted for it.
  const Json* find(const std::string& name) const;
  bool empty() const { return blocks_.empty(); }

  /// Notes a finished block. Call after its tensors are durable.
  void note(const std::string& name, Json facts);

  /// Removes the file: the result is complete and must not carry it.
  void remove();

 private:
  std::filesystem::path file_;
  std::string fingerprint_;
  std::map<std::string, Json> blocks_;
};

}  // namespace farthing::quantize
