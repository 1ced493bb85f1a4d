// report.html: the whole story of a quantization on one page that needs nothing but a browser - no scripts,
// no fonts, no network.
#pragma once

#include <string>
#include <string_view>

#include "plan/result.h"

namespace farthing::report {

/// Returns the page: sizes, error per layer (worst first, and block by block), deviations, calibration
/// ledger, recipe, hashes.
std::string html_report(const plan::QuantizeResult& result);

/// Replaces the characters that mean something in HTML; bytes of names are otherwise left as they are.
std::string escape_html(std::string_view text);

}  // namespace farthing::report
