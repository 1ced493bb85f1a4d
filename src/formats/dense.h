// The reader of checkpoints in which nothing is quantized.
#pragma once

#include "formats/weight_format.h"

namespace farthing::formats {

class DenseReader : public WeightReader {
 public:
  std::string_view method() const override { return "none"; }
  std::vector<std::string> modules() const override { return {}; }
  bool is_quantized(std::string_view) const override { return false; }
  std::vector<std::string> tensors_of(std::string_view) const override { return {}; }
  scheme::Scheme scheme_of(std::string_view) const override { return {}; }
  WeightDescription describe(std::string_view) const override { return {}; }
  QuantizedMatrix read(std::string_view module) const override;
};

}  // namespace farthing::formats
