// Counts the calibration tokens that each expert was sent.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "calibrate/listener.h"

namespace farthing::calibrate {

class RoutingCollector : public Listener {
 public:
  void routed(const std::string& experts, const std::vector<std::int64_t>& tokens) override {
    std::vector<std::int64_t>& sums = tokens_[experts];
    sums.resize(tokens.size());
    for (std::size_t e = 0; e < tokens.size(); ++e) sums[e] += tokens[e];
  }

  /// Tokens of each expert, by the path of the experts without number.
  const std::map<std::string, std::vector<std::int64_t>>& tokens() const { return tokens_; }

 private:
  std::map<std::string, std::vector<std::int64_t>> tokens_;
};

}  // namespace farthing::calibrate
