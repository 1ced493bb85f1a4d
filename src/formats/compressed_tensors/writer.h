// Writes what current and older releases of compressed-tensors, transformers and vLLM load.
#pragma once

#include "formats/compressed_tensors/config.h"

namespace farthing::formats::compressed_tensors {

class Writer : public WeightWriter {
 public:
  std::string_view name() const override { return "compressed-tensors"; }
  void check(const scheme::Scheme& scheme, std::int64_t rows, std::int64_t columns) const override;
  std::vector<checkpoint::TensorPlan> plan_tensors(const std::string& module, const scheme::Scheme& scheme,
                                                   std::int64_t rows, std::int64_t columns,
                                                   DType model_dtype) const override;
  std::vector<std::pair<std::string, Tensor>> encode(const std::string& module, const scheme::Scheme& scheme,
                                                     const QuantizedMatrix& weight,
                                                     ThreadPool& pool) const override;
  std::vector<std::pair<std::string, Tensor>> encode_activation(
      const std::string& module, scheme::ActivationSite site,
      const scheme::ActivationQuantization& quantization, DType model_dtype) const override;
  std::vector<checkpoint::TensorPlan> plan_cache(const std::string& attention,
                                                 const scheme::QuantizationArgs& args, std::int64_t num_heads,
                                                 DType model_dtype) const override;
  Json quantization_config(const ModelQuantization& model) const override { return config_json(model); }
};

}  // namespace farthing::formats::compressed_tensors
