// Executes a plan block by block: one block of weights is resident, results are written while they are made,
// and every finished block is noted in a journal. Policy (order, memory, files, fallbacks) lives here; the
// arithmetic is in methods/.
#pragma once

#include <filesystem>
#include <functional>

#include "base/cancel.h"
#include "base/reporter.h"
#include "calibrate/calibration_set.h"
#include "plan/quantize_plan.h"
#include "plan/result.h"

namespace farthing::quantize {

struct RunOptions {
  std::filesystem::path output;
  bool overwrite = false;
  bool resume = true;
  bool calibrates_all_experts = false;  // every expert sees every token, for calibration only
  /// Called with the finished facts before the folder becomes visible, to add to them and reports to it.
  std::function<void(plan::QuantizeResult&, const std::filesystem::path& folder)> add_reports = {};
};

/// Quantizes `source` as `plan` says and leaves a complete model folder at `options.output`, or, when
/// interrupted, OUTPUT.partial and OUTPUT untouched. `calibration` is needed when the plan says so. Throws
/// Error; kCancelled when interrupted, after the journal is safe.
plan::QuantizeResult run(const plan::QuantizePlan& plan,
                         const std::shared_ptr<const checkpoint::Checkpoint>& source,
                         const calibrate::CalibrationSet* calibration, const RunOptions& options,
                         ThreadPool& pool, Reporter& reporter, const CancelToken& cancel);

}  // namespace farthing::quantize
