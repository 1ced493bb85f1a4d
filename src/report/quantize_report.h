// What people and programs read about a finished quantization: the --json document and the summary on the
// terminal.
#pragma once

#include <string>

#include "base/json.h"
#include "plan/result.h"

namespace farthing::report {

/// The document that --json prints and report.json holds; the keys are pinned by the command-line contract.
Json to_json(const plan::QuantizeResult& result);

/// Paths of the experts that no calibration token was routed to.
std::vector<std::string> experts_without_token(const plan::QuantizeResult& result);

/// The summary: what became of the model, what was left alone, what deviated, and what to type next.
std::string summary(const plan::QuantizeResult& result);

}  // namespace farthing::report
