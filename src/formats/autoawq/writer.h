// Writes AutoAWQ's GEMM packing, which every loader of AWQ files takes. Symmetric weights get the middle of
// the range as their zero point.
#pragma once

#include "formats/autoawq/config.h"

namespace farthing::formats::autoawq {

class Writer : public WeightWriter {
 public:
  std::string_view name() const override { return "awq"; }
  DType scale_dtype(DType) const override { return DType::kF16; }
  void check(const scheme::Scheme& scheme, std::int64_t rows, std::int64_t columns) const override;
  std::vector<checkpoint::TensorPlan> plan_tensors(const std::string& module, const scheme::Scheme& scheme,
                                                   std::int64_t rows, std::int64_t columns,
                                                   DType model_dtype) const override;
  std::vector<std::pair<std::string, Tensor>> encode(const std::string& module, const scheme::Scheme& scheme,
                                                     const QuantizedMatrix& weight,
                                                     ThreadPool& pool) const override;
  Json quantization_config(const ModelQuantization& model) const override { return config_json(model); }
};

}  // namespace farthing::formats::autoawq
