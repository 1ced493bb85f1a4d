// What a quantization has finished so far, kept beside the half-written result: a killed run started again
// with the same command goes on after the last finished block and ends in the same bytes.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/json.h"
#include "base/sha256.h"
#include "calibrate/calibration_set.h"
#include "plan/result.h"

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

/// How a journal notes a linear, and back.
Json to_json(const plan::LayerResult& layer);
plan::LayerResult layer_from_json(const Json& json);

/// What every fingerprint says of the tensors that are read, and of the samples.
void add_source(const checkpoint::Checkpoint& source, Sha256& fingerprint);
void add_samples(const calibrate::CalibrationSet& calibration, Sha256& fingerprint);

}  // namespace farthing::quantize
