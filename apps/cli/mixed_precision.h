// --target-bits, --target-size, --max-kl: measures what the linears of a plan cost and gives the dear ones
// more bits.
#pragma once

#include "calibrate/calibration_set.h"
#include "cli/app.h"
#include "cli/quantize_options.h"
#include "plan/mixture.h"

namespace farthing::cli {

/// A mixture that meets its target, and what it was measured on.
struct MixedPrecision {
  plan::MixtureTarget target;
  plan::Mixture mixture;
  std::vector<calibrate::Sample> samples;
  std::int64_t tokens = 0;
  std::optional<double> together;  // measured with all of it, where a divergence is the target
};

/// What the flags ask for; empty without any. Throws kInvalidArgument for several targets, and for values
/// that are none.
plan::MixtureTarget mixture_target(const QuantizeOptions& options);

/// Bytes that measuring the units of `smallest` takes at its peak.
std::uint64_t peak_of_measuring(const plan::QuantizePlan& smallest, const calibrate::CalibrationSet& samples);

/// Chooses a scheme for every unit of `smallest`, whose blocks are walked with some of the samples. Throws
/// kInvalidArgument when the target is out of reach.
MixedPrecision choose_mixture(App& app, const plan::QuantizePlan& smallest,
                              const std::shared_ptr<const checkpoint::Checkpoint>& source,
                              const calibrate::CalibrationSet& samples, const plan::MixtureTarget& target);

/// Measures the finished model in `folder` on the same samples and adds the mixture to its facts; a deviation
/// too, should it miss the divergence that was asked for.
void add_mixture(App& app, const MixedPrecision& mixed, const plan::QuantizePlan& plan,
                 const std::shared_ptr<const checkpoint::Checkpoint>& source,
                 const std::filesystem::path& folder, plan::QuantizeResult& facts);

/// Facts of the whole in a line, then one line per unit: as a text, or noted line by line.
void note_table(const MixedPrecision& mixed, Reporter& reporter);
std::string table_of(const MixedPrecision& mixed);
Json document_of(const MixedPrecision& mixed);

}  // namespace farthing::cli
