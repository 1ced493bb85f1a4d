// The samples of a calibration run and the ledger that says where each came from and what was turned away.
#pragma once

#include "base/cancel.h"
#include "base/reporter.h"
#include "calibrate/collator.h"

namespace farthing::calibrate {

struct Rejection {
  std::string origin;
  std::string reason;
};

/// What was used and what was not. Goes into the summary, the report and the journal.
struct Ledger {
  std::string source;  // the SPEC
  std::string collator;
  std::int64_t samples = 0;
  std::int64_t tokens = 0;  // picture tokens included
  std::int64_t pictures = 0;
  std::int64_t records = 0;  // in the source
  std::int64_t chunked = 0;  // samples that are pieces of longer texts
  std::vector<Rejection> rejected;
  Json to_json() const;
};

struct CalibrationSet {
  std::vector<Sample> samples;
  Ledger ledger;

  std::vector<std::int64_t> token_counts() const;
};

struct CalibrationOptions {
  std::string spec = "builtin";
  std::string collator;  // empty: the family's own
  std::string question = "What does this image show?";
  std::string system;  // said before the question; empty: nothing
  std::int64_t num_samples = 128;
  std::int64_t sequence_length = 2048;  // clamped to the model's own limit
  std::int64_t seed = -1;  // -1: samples spread evenly over the source; else drawn at random with this seed
};

/// Reads, chooses and collates. Plain texts are joined by blank lines, cut into windows of sequence_length
/// tokens, and the windows spread evenly over the text (start_i = i * (tokens - length) / samples), as the
/// papers' protocols do; chats and pictures stay whole. Throws when no sample remains, with the first
/// reasons.
CalibrationSet build_calibration_set(const CalibrationOptions& options, const nn::ModelSpec& spec,
                                     const models::PromptProcessor& processor, Reporter& reporter,
                                     const CancelToken& cancel);

}  // namespace farthing::calibrate
