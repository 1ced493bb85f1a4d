// One linear, from its weight (and what it saw) to codes and scales, with the facts that the ledger keeps.
#pragma once

#include <string>

#include "calibrate/hessian_collector.h"
#include "methods/gptq.h"
#include "plan/quantize_plan.h"
#include "plan/result.h"

namespace farthing::quantize {

struct QuantizedLinear {
  QuantizedMatrix weight;
  plan::LayerResult result;
  std::vector<std::string> deviations;  // raised dampening, dead columns, fallbacks
};

class LinearQuantizer {
 public:
  /// `hessians` may be null when no linear of the step is calibrated.
  LinearQuantizer(calibrate::HessianCollector* hessians, ThreadPool& pool)
      : hessians_(hessians), pool_(pool) {}

  /// `weight` [N, K] in the dtype of the file. `global_scale` is that of NVFP4, shared with the linears that
  /// read the same input. Throws kCorruptData naming the tensor when it is not finite.
  QuantizedLinear quantize(const plan::LinearPlan& linear, const Tensor& weight,
                           std::optional<float> global_scale = {});

 private:
  calibrate::HessianCollector* hessians_;
  ThreadPool& pool_;
  // Linears that share an input follow each other and share the factor; only one is held, for it is as large
  // as the Hessian.
  std::string factor_key_;
  methods::GptqFactor factor_;
};

}  // namespace farthing::quantize
