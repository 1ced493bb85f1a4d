#include "calibrate/importance_collector.h"

namespace farthing::calibrate {

void ImportanceCollector::inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
                                 std::int64_t columns) {
  if (paths.empty()) return;
  for (const std::string& path : paths) group_of_.try_emplace(path, paths.front());
  Sum& sum = sums_[paths.front()];
  sum.squares.resize(static_cast<std::size_t>(columns));
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* values = x + row * columns;
    for (std::int64_t c = 0; c < columns; ++c)
      sum.squares[static_cast<std::size_t>(c)] += static_cast<double>(values[c]) * values[c];
  }
  sum.tokens += rows;
}

std::vector<float> ImportanceCollector::importance(const std::string& path) const {
  const auto group = group_of_.find(path);
  if (group == group_of_.end()) return {};
  const Sum& sum = sums_.at(group->second);
  if (sum.tokens == 0) return {};
  std::vector<float> result;
  for (const double square : sum.squares)
    result.push_back(static_cast<float>(square / static_cast<double>(sum.tokens)));
  return result;
}

}  // namespace farthing::calibrate
