// Reads what transformers saves of a model loaded with bitsandbytes: NF4 and FP4 blocks with or without
// nested scales, in any storage type, and the 8-bit rows of LLM.int8.
#pragma once

#include "formats/weight_format.h"

namespace farthing::formats::bitsandbytes {

class Reader : public WeightReader {
 public:
  Reader(const checkpoint::Checkpoint& checkpoint, const Json& block, OtherSpelling other_spelling);

  std::string_view method() const override { return "bitsandbytes"; }
  std::vector<std::string> modules() const override;
  bool is_quantized(std::string_view module) const override;
  std::vector<std::string> tensors_of(std::string_view module) const override;
  scheme::Scheme scheme_of(std::string_view module) const override;
  WeightDescription describe(std::string_view module) const override;
  QuantizedMatrix read(std::string_view module) const override;

 private:
  checkpoint::Checkpoint checkpoint_;
};

}  // namespace farthing::formats::bitsandbytes
