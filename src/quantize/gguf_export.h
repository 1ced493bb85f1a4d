// Writes a model as a GGUF file: calibration where columns are to be weighed, then tensor after tensor.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "base/cancel.h"
#include "base/reporter.h"
#include "calibrate/calibration_set.h"
#include "plan/gguf_plan.h"
#include "plan/result.h"

namespace farthing::quantize {

struct GgufExportOptions {
  std::filesystem::path output;  // a file when it ends in .gguf, else a folder
  bool overwrite = false;
  bool resume = false;  // go on where an earlier run with the same plan was interrupted
  /// Called with the finished facts before a folder becomes visible.
  std::function<void(const plan::QuantizeResult&, const std::filesystem::path& folder)> add_reports = {};
};

/// Works in OUTPUT.partial, with a journal of finished blocks for a resume. Throws Error; what was there
/// before is then untouched. `calibration` is needed when the plan says so.
plan::QuantizeResult export_gguf(const plan::GgufPlan& plan,
                                 const std::shared_ptr<const checkpoint::Checkpoint>& source,
                                 const calibrate::CalibrationSet* calibration,
                                 const GgufExportOptions& options, ThreadPool& pool, Reporter& reporter,
                                 const CancelToken& cancel);

}  // namespace farthing::quantize
