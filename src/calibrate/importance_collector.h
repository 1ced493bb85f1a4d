// How much every column of a linear's input matters: its mean square over a calibration pass, llama.cpp's
// "importance matrix".
#pragma once

#include <map>
#include <string>
#include <vector>

#include "calibrate/listener.h"

namespace farthing::calibrate {

class ImportanceCollector : public Listener {
 public:
  void inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
              std::int64_t columns) override;

  /// The mean square of each column that the linear at `path` (canonical) read; empty when it saw no token.
  std::vector<float> importance(const std::string& path) const;

 private:
  struct Sum {
    std::vector<double> squares;
    std::int64_t tokens = 0;
  };
  std::map<std::string, std::string> group_of_;  // path -> first path of those that share its input
  std::map<std::string, Sum> sums_;              // by group
};

}  // namespace farthing::calibrate
