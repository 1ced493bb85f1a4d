// Reads FP8 checkpoints as their makers ship them: DeepSeek and Qwen (`fp8`, a scale per block of 128 x 128,
// kept as weight_scale_inv), the older per-tensor `fp8`, and Meta's `fbgemm_fp8` (a scale per row).
#pragma once

#include "formats/weight_format.h"

namespace farthing::formats::fp8 {

class Reader : public WeightReader {
 public:
  Reader(const checkpoint::Checkpoint& checkpoint, const Json& block, OtherSpelling other_spelling);

  std::string_view method() const override { return method_; }
  std::vector<std::string> modules() const override;
  bool is_quantized(std::string_view module) const override;
  std::vector<std::string> tensors_of(std::string_view module) const override;
  scheme::Scheme scheme_of(std::string_view module) const override;
  WeightDescription describe(std::string_view module) const override;
  QuantizedMatrix read(std::string_view module) const override;

 private:
  checkpoint::Checkpoint checkpoint_;
  std::string method_;
  std::optional<std::array<std::int64_t, 2>> block_;  // rows, columns
  bool static_activations_ = false;
};

}  // namespace farthing::formats::fp8
