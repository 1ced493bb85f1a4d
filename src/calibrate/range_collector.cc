#include "calibrate/range_collector.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace farthing::calibrate {
namespace {

bool is_moving_average(const scheme::QuantizationArgs& args) {
  return args.observer == "minmax";
}

void require_known(const scheme::QuantizationArgs& args, const std::string& path) {
  FARTHING_REQUIRE(is_moving_average(args) || args.observer == "static_minmax", Code::kUnsupported,
                   "no such observer for activations", {{"observer", args.observer}, {"module", path}},
                   "use static_minmax or minmax");
}

}  // namespace

RangeCollector::RangeCollector(std::map<std::string, scheme::QuantizationArgs> inputs,
                               std::map<std::string, scheme::QuantizationArgs> caches) {
  for (const auto& [path, args] : inputs) {
    require_known(args, path);
    inputs_[path].args = args;
  }
  for (const auto& [path, args] : caches) {
    require_known(args, path);
    keys_[path].args = values_[path].args = args;
  }
}

void RangeCollector::inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
                            std::int64_t columns) {
  for (const std::string& path : paths) {
    const auto found = inputs_.find(path);
    if (found != inputs_.end()) update(found->second, x, columns, rows, columns, 1);
  }
}

void RangeCollector::keys_and_values(const nn::KeysAndValues& heads) {
  const auto keys = keys_.find(heads.attention), values = values_.find(heads.attention);
  if (keys == keys_.end()) return;
  const bool per_head = keys->second.args.strategy == scheme::Strategy::kAttentionHead;
  const std::int64_t cells = per_head ? heads.num_heads : 1;
  update(keys->second, heads.keys, heads.key_stride, heads.rows, heads.num_heads * heads.head_dim, cells);
  update(values->second, heads.values, heads.value_stride, heads.rows, heads.num_heads * heads.value_dim,
         cells);
}

// Sequence by sequence; rows that do not belong to sequences any more (an expert's) are taken as one.
void RangeCollector::update(Observed& observed, const float* x, std::int64_t stride, std::int64_t rows,
                            std::int64_t columns, std::int64_t num_cells) const {
  const std::int64_t total = std::accumulate(lengths_.begin(), lengths_.end(), std::int64_t{0});
  if (total != rows) return observed.update(x, stride, rows, columns, num_cells);
  std::int64_t row = 0;
  for (const std::int64_t length : lengths_) {
    observed.update(x + row * stride, stride, length, columns, num_cells);
    row += length;
  }
}

void RangeCollector::Observed::update(const float* x, std::int64_t stride, std::int64_t rows,
                                      std::int64_t columns, std::int64_t num_cells) {
  if (rows == 0) return;
  const std::int64_t width = columns / num_cells;
  const bool is_first = lowest.empty();
  lowest.resize(static_cast<std::size_t>(num_cells));
  highest.resize(static_cast<std::size_t>(num_cells));
  const float factor = is_first ? 1.0f : args.observer_kwargs.value("averaging_constant", 0.01f);
  for (std::int64_t cell = 0; cell < num_cells; ++cell) {
    float low = x[cell * width], high = low;
    for (std::int64_t row = 0; row < rows; ++row) {
      const float* values = x + row * stride + cell * width;
      for (std::int64_t i = 0; i < width; ++i) {
        low = std::min(low, values[i]);
        high = std::max(high, values[i]);
      }
    }
    float& known_low = lowest[static_cast<std::size_t>(cell)];
    float& known_high = highest[static_cast<std::size_t>(cell)];
    if (is_moving_average(args) || is_first) {
      known_low += factor * (low - known_low);
      known_high += factor * (high - known_high);
    } else {
      known_low = std::min(known_low, low);
      known_high = std::max(known_high, high);
    }
  }
}

scheme::ActivationQuantization RangeCollector::result(const std::map<std::string, Observed>& observed,
                                                      const std::string& path, DType model_dtype) {
  const Observed& found = observed.at(path);
  FARTHING_REQUIRE(!found.lowest.empty(), Code::kNumeric, "no calibration token came by here",
                   {{"module", path}},
                   "use more samples, or ones that have what this part of the model is for");
  return scheme::calibrated(found.args, found.lowest, found.highest, model_dtype);
}

scheme::ActivationQuantization RangeCollector::input(const std::string& path, DType model_dtype) const {
  return result(inputs_, path, model_dtype);
}
scheme::ActivationQuantization RangeCollector::keys(const std::string& attention, DType model_dtype) const {
  return result(keys_, attention, model_dtype);
}
scheme::ActivationQuantization RangeCollector::values(const std::string& attention, DType model_dtype) const {
  return result(values_, attention, model_dtype);
}

}  // namespace farthing::calibrate
