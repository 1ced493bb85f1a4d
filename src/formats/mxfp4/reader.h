// Reads gpt-oss checkpoints as OpenAI ships them: the weights of all experts of a layer in one module, as
// MODULE_blocks U8 [experts, rows, columns / 32, 16] (two E2M1 numbers per byte, the first in the low half)
// and MODULE_scales U8 [experts, rows, columns / 32] (powers of two, E8M0).
#pragma once

#include "formats/weight_format.h"

namespace farthing::formats::mxfp4 {

class Reader : public WeightReader {
 public:
  Reader(const checkpoint::Checkpoint& checkpoint, const Json& block, OtherSpelling other_spelling);

  std::string_view method() const override { return "mxfp4"; }
  std::vector<std::string> modules() const override;
  bool is_quantized(std::string_view module) const override;
  std::vector<std::string> tensors_of(std::string_view module) const override;
  scheme::Scheme scheme_of(std::string_view module) const override;
  WeightDescription describe(std::string_view module) const override;
  /// Rows of all experts, one expert below the other.
  QuantizedMatrix read(std::string_view module) const override;
  QuantizedMatrix read_rows(std::string_view module, const RowRange& rows) const override;

 private:
  /// [experts, rows, groups], checked.
  Shape shape_of(std::string_view module) const;

  checkpoint::Checkpoint checkpoint_;
};

}  // namespace farthing::formats::mxfp4
