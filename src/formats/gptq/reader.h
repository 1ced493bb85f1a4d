// Reads GPTQ checkpoints of AutoGPTQ, GPTQModel, Optimum and AutoRound: qweight packed along the inputs,
// qzeros along the outputs, everything transposed to [in, out].
#pragma once

#include "formats/gptq/config.h"

namespace farthing::formats::gptq {

class Reader : public WeightReader {
 public:
  Reader(const checkpoint::Checkpoint& checkpoint, const Json& block, OtherSpelling other_spelling);

  std::string_view method() const override { return "gptq"; }
  std::vector<std::string> modules() const override;
  bool is_quantized(std::string_view module) const override;
  std::vector<std::string> tensors_of(std::string_view module) const override;
  scheme::Scheme scheme_of(std::string_view module) const override;
  WeightDescription describe(std::string_view module) const override;
  QuantizedMatrix read(std::string_view module) const override;

 private:
  const Settings& settings_of(std::string_view module) const;

  checkpoint::Checkpoint checkpoint_;
  Config config_;
  OtherSpelling other_spelling_;
};

}  // namespace farthing::formats::gptq
