// Writes NF4, FP4 and LLM.int8 weights as transformers saves and loads them, in bytes.
#pragma once

#include "formats/weight_format.h"

namespace farthing::formats::bitsandbytes {

class Writer : public WeightWriter {
 public:
  std::string_view name() const override { return "bitsandbytes"; }
  void check(const scheme::Scheme& scheme, std::int64_t rows, std::int64_t columns) const override;
  std::vector<checkpoint::TensorPlan> plan_tensors(const std::string& module, const scheme::Scheme& scheme,
                                                   std::int64_t rows, std::int64_t columns,
                                                   DType model_dtype) const override;
  std::vector<std::pair<std::string, Tensor>> encode(const std::string& module, const scheme::Scheme& scheme,
                                                     const QuantizedMatrix& weight,
                                                     ThreadPool& pool) const override;
  Json quantization_config(const ModelQuantization& model) const override;
};

}  // namespace farthing::formats::bitsandbytes
