// Markdown tables that can be pasted into an issue: padded, so that they read well on a terminal too.
#pragma once

#include <string>
#include <vector>

namespace farthing::report {

class Table {
 public:
  explicit Table(std::vector<std::string> header);

  /// Adds a row with as many cells as the header.
  void add(std::vector<std::string> cells);

  std::string markdown() const;

 private:
  std::vector<std::vector<std::string>> rows_;  // the first is the header
};

}  // namespace farthing::report
