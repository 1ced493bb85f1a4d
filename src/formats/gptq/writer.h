// Writes GPTQ checkpoints that GPTQModel, transformers and vLLM load. v1 holds symmetric weights only: its
// zero points are stored minus one, so that a zero point of 0 leaves its field, and loaders disagree about
// what then happens to its neighbours.
#pragma once

#include "formats/gptq/config.h"

namespace farthing::formats::gptq {

class Writer : public WeightWriter {
 public:
  explicit Writer(Version version) : version_(version) {}

  std::string_view name() const override { return version_ == Version::kV2 ? "gptq_v2" : "gptq"; }
  std::string_view name_for(std::span<const scheme::Scheme> schemes) const override;
  DType scale_dtype(DType) const override { return DType::kF16; }
  void check(const scheme::Scheme& scheme, std::int64_t rows, std::int64_t columns) const override;
  std::vector<checkpoint::TensorPlan> plan_tensors(const std::string& module, const scheme::Scheme& scheme,
                                                   std::int64_t rows, std::int64_t columns,
                                                   DType model_dtype) const override;
  std::vector<std::pair<std::string, Tensor>> encode(const std::string& module, const scheme::Scheme& scheme,
                                                     const QuantizedMatrix& weight,
                                                     ThreadPool& pool) const override;
  Json quantization_config(const ModelQuantization& model) const override {
    return config_json(model, version_);
  }
  std::vector<std::pair<std::string, Json>> side_files(const ModelQuantization& model) const override {
    return {{"quantize_config.json", config_json(model, version_)}};
  }

 private:
  Version version_;
};

}  // namespace farthing::formats::gptq
