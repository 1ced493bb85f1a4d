// Reads AutoAWQ checkpoints packed for any of its kernels: GEMM, GEMV and GEMV_FAST.
#pragma once

#include "formats/autoawq/config.h"

namespace farthing::formats::autoawq {

class Reader : public WeightReader {
 public:
  Reader(const checkpoint::Checkpoint& checkpoint, const Json& block, OtherSpelling other_spelling);

  std::string_view method() const override { return "awq"; }
  std::vector<std::string> modules() const override;
  bool is_quantized(std::string_view module) const override;
  std::vector<std::string> tensors_of(std::string_view module) const override;
  scheme::Scheme scheme_of(std::string_view module) const override;
  WeightDescription describe(std::string_view module) const override;
  QuantizedMatrix read(std::string_view module) const override;

 private:
  checkpoint::Checkpoint checkpoint_;
  Config config_;
};

}  // namespace farthing::formats::autoawq
