// Gram matrices of groups of neighbouring channels: sum x x^T inside each group, over a part of the tokens.
#pragma once

#include <map>
#include <string>

#include "base/thread_pool.h"
#include "calibrate/listener.h"

namespace farthing::calibrate {

class GroupGramCollector : public Listener {
 public:
  /// Listens for the linears of `widths` (canonical paths), whose groups have that many columns, to the
  /// first of every `stride` rows.
  GroupGramCollector(std::map<std::string, std::int64_t> widths, std::int64_t stride, ThreadPool& pool)
      : widths_(std::move(widths)), stride_(stride), pool_(pool) {}

  void inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
              std::int64_t columns) override;

  /// F32 [groups, width, width], symmetric; undefined where no token came by.
  Tensor of(const std::string& path) const;

 private:
  struct Sum {
    Tensor grams;               // upper triangles
    std::int64_t num_rows = 0;  // that came by
  };

  std::map<std::string, std::int64_t> widths_;
  std::int64_t stride_;
  ThreadPool& pool_;
  std::map<std::string, Sum> sums_;
};

}  // namespace farthing::calibrate
