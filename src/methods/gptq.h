// GPTQ (Frantar et al. 2022): columns are rounded one after another, and the error of each is made up for by
// the columns that follow, as far as the inputs seen in calibration let one stand in for another. GPTAQ (Li
// et al. 2025, arXiv:2504.02692) also makes up for what the quantized layers before did to the inputs.
#pragma once

#include <string>
#include <vector>

#include "scheme/observer.h"
#include "scheme/quantization_args.h"

namespace farthing::methods {

constexpr double kGptaqAlpha = 0.25;  // the paper's

struct GptqOptions {
  std::int64_t block_size = 128;  // columns walked before the rest of the weight is updated
  double dampening_frac = 0.01;   // of the mean of the Hessian's diagonal, added to the diagonal
  int max_dampening_retries = 4;  // after a factorization that failed, each with ten times the dampening

  /// The order of the walk is `actorder` of the arguments: none; kWeight, by descending diagonal of the
  /// Hessian with groups where they were ("static_groups" with "desc_act"); kGroup, with groups of the
  /// columns as walked ("desc_act"). With this flag and no actorder: by descending diagonal inside each
  /// group, groups by their largest ("act_group_aware").
  bool group_aware_order = false;

  /// Scales of a group are taken when the walk reaches it, from the weight as updated by the blocks before
  /// (the paper and its lineage); otherwise all at once from the original weight (llm-compressor, and
  /// "static_groups"). Not for kWeight.
  bool refresh_scales = false;

  /// The share of the inputs' shift that GPTAQ makes up for, where a shift is given.
  double gptaq_alpha = kGptaqAlpha;

  /// Where code * scale is rounded to before the error is taken; none: the scales' own dtype, as
  /// llm-compressor does.
  std::optional<DType> value_dtype;

  scheme::ObserverOptions observer;  // `importance` is filled in from the Hessian
};

enum class GptqStatus : std::uint8_t {
  kOk,
  kDampened,          // succeeded with more dampening than asked for
  kRoundedToNearest,  // the Hessian was of no use: plain rounding instead
};

/// What linears that share their input have in common. Immutable.
struct GptqFactor {
  GptqStatus status = GptqStatus::kOk;
  std::string problem;              // why not kOk; empty otherwise
  double dampening_frac = 0;        // used in the end
  std::vector<std::int32_t> order;  // order[j]: the column walked as j-th
  std::vector<float> diagonal;      // of the Hessian as given, by column
  std::int64_t dead_columns = 0;    // inputs that were always 0
  Tensor upper;  // F32 [in, in], in walking order: H^-1 = U^T U. Undefined for kRoundedToNearest
  Tensor
      shift_step;  // F32 [in, in], in walking order: -P, GPTAQ's P = alpha triu(D U^T, 1) U; else undefined
};

struct GptqResult {
  QuantizedMatrix weight;
  GptqStatus status = GptqStatus::kOk;
  std::string problem;
  double loss = 0;  // sum of squared errors weighted by the inverse Hessian, as GPTQ programs log it; 0 for
                    // kRoundedToNearest
  double dampening_frac = 0;
  std::int64_t dead_columns = 0;
};

/// Factors `hessian` (F32 [in, in], symmetric, any positive factor of sum x x^T). Needs one more matrix of
/// that size; pass the Hessian by std::move to have it freed at the end. Bad numbers never throw: they end in
/// the status. With `shift` = D, F32 [in, in], the sum of (x~ - x) x^T under the Hessian's factor, where the
/// original model reads x~ in place of x, the walk is GPTAQ's; that needs three more matrices for a moment,
/// and keeps one.
GptqFactor gptq_prepare(Tensor hessian, const scheme::QuantizationArgs& args, const GptqOptions& options,
                        ThreadPool& pool, const Tensor& shift = Tensor());

/// Quantizes `weight` [out, in] of F32, BF16 or F16. `args` and `options` as for the factor. Throws kNumeric
/// for weights that are not finite, kInvalidArgument for options that contradict each other.
GptqResult gptq(const Tensor& weight, const GptqFactor& factor, const scheme::QuantizationArgs& args,
                const GptqOptions& options, ThreadPool& pool);

/// Both steps for a linear of its own.
GptqResult gptq(const Tensor& weight, Tensor hessian, const scheme::QuantizationArgs& args,
                const GptqOptions& options, ThreadPool& pool);

}  // namespace farthing::methods
