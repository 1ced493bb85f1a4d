// Reads compressed-tensors checkpoints of any release. What a module holds is told by which of its tensors
// exist, because releases disagree about the names of formats; the config says what the numbers mean, and
// both are checked against each other.
#pragma once

#include "formats/compressed_tensors/config.h"

namespace farthing::formats::compressed_tensors {

class Reader : public WeightReader {
 public:
  Reader(const checkpoint::Checkpoint& checkpoint, const Json& block, OtherSpelling other_spelling);

  std::string_view method() const override { return "compressed-tensors"; }
  std::vector<std::string> modules() const override;
  bool is_quantized(std::string_view module) const override;
  std::vector<std::string> tensors_of(std::string_view module) const override;
  scheme::Scheme scheme_of(std::string_view module) const override;
  WeightDescription describe(std::string_view module) const override;
  QuantizedMatrix read(std::string_view module) const override;
  std::optional<scheme::ActivationQuantization> activation(std::string_view module,
                                                           scheme::ActivationSite site) const override;

 private:
  checkpoint::Checkpoint checkpoint_;
  Config config_;
  scheme::TargetTable targets_;
  OtherSpelling other_spelling_;
};

}  // namespace farthing::formats::compressed_tensors
