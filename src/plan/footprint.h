// How much memory a quantization will take at its peak, from headers and sample lengths alone. The terms name
// what the pipeline really holds; quantize/ keeps to them, and the tests compare them with measured peaks.
#pragma once

#include <cstdint>
#include <span>

#include "plan/quantize_plan.h"

namespace farthing::plan {

/// Samples are computed together until they have this many rows: enough to fill the matrix kernels, few
/// enough that a block's inner activations stay small.
constexpr std::int64_t kRowsAtOnce = 1024;

/// AWQ runs modules again and again on that many rows of the samples, or little more: enough to tell its
/// candidates apart.
constexpr std::int64_t kSearchRows = 4096;

/// Code, libraries and their data: measured on an empty run.
constexpr std::uint64_t kProgramBytes = 20ull << 20;

/// What the allocator keeps between small blocks of memory when samples run through the model: measured too.
constexpr std::uint64_t kHeapBytes = 48ull << 20;

/// What the widest moment inside a decoder block holds for `rows` tokens computed together.
std::uint64_t activation_bytes(const nn::ModelSpec& spec, std::int64_t rows);

struct Footprint {
  std::uint64_t program_bytes = 0;  // code, libraries, headers, tokenizer
  std::uint64_t weight_bytes = 0;   // the linear at work: stored weight, working copy, codes, packed result
  std::uint64_t block_bytes = 0;    // the resident block's weights
  std::uint64_t hidden_bytes = 0;   // the samples' rows between blocks
  std::uint64_t activation_bytes = 0;  // inside the block, for the rows computed together
  std::uint64_t hessian_bytes = 0;     // of one step, and the factor at work
  std::uint64_t peak_bytes = 0;        // of all phases
};

/// `token_counts`: length of every calibration sample; empty for data-free plans.
Footprint predict_footprint(const QuantizePlan& plan, std::span<const std::int64_t> token_counts);

/// The peak of measuring what `trials` changes of linears do, with `tokens` of samples:
/// evaluate/sensitivity.h.
std::uint64_t measuring_bytes(const QuantizePlan& plan, std::int64_t tokens, std::size_t trials);

}  // namespace farthing::plan
