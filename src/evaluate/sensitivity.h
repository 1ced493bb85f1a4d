// What it costs a model to quantize some of its linears: how far its next-token distribution moves. Many
// trials share one walk over the blocks, of which one is resident at a time.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/reporter.h"
#include "calibrate/calibration_set.h"
#include "models/model.h"
#include "scheme/scheme.h"

namespace farthing::evaluate {

/// Quantizes the linear at a canonical path. Asked for block by block, in rising order within one walk.
using QuantizeLinear = std::function<QuantizedMatrix(const std::string& path, const scheme::Scheme& scheme,
                                                     const Tensor& weight)>;

/// Linears inside blocks, by canonical path, and their schemes. Inputs are quantized with scales found at run
/// time, also where the scheme will have calibrated ones.
using SchemesByLinear = std::map<std::string, scheme::Scheme>;

/// A unit of linears inside one block, quantized alone in one way or another, the coarsest first.
using SensitivityTrial = std::vector<SchemesByLinear>;

/// Samples out of `set`, spread evenly, with about this many tokens, at least one; of texts their first 256.
std::vector<calibrate::Sample> samples_of(const calibrate::CalibrationSet& set, std::int64_t tokens);

/// Trials whose rows are held at once: what is left of 512 MiB for each row of `rows` tokens, at least one.
/// Others are measured in another walk.
std::size_t trials_at_once(const nn::ModelSpec& spec, std::int64_t rows);

/// Returns the mean KL(model || changed) over all positions of the samples, nats, for every way of every
/// trial. That of the first way is measured at the model's output. As the divergence is quadratic in a small
/// change, and the ways of one unit change the block's output in the same directions, that of the others is
/// the first one's times the ratio of the squared relative changes that they make to the rows that leave
/// their block. Throws kNumeric when logits are not finite.
std::vector<std::vector<double>> measure_sensitivities(models::Model& model,
                                                       std::span<const calibrate::Sample> samples,
                                                       std::span<const SensitivityTrial> trials,
                                                       const QuantizeLinear& quantize, ThreadPool& pool,
                                                       Reporter& reporter, const CancelToken& cancel);

/// Returns the mean KL(model || changed) with all these linears, of any blocks, quantized together.
double measure_together(models::Model& model, std::span<const calibrate::Sample> samples,
                        const SchemesByLinear& schemes, const QuantizeLinear& quantize, ThreadPool& pool,
                        Reporter& reporter, const CancelToken& cancel);

/// Returns the mean KL(model || other) of two whole models of one family, walked block by block side by side.
double measure_models(models::Model& model, models::Model& other, std::span<const calibrate::Sample> samples,
                      ThreadPool& pool, const CancelToken& cancel);

}  // namespace farthing::evaluate
