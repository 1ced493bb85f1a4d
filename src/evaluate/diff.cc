#include "evaluate/diff.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/error.h"
#include "formats/weight_format.h"
#include "models/model.h"
#include "scheme/quantizer.h"
#include "scheme/regex.h"

namespace farthing::evaluate {
namespace {

constexpr std::int64_t kRowsPerPiece = 16;

// The weights of one checkpoint under the names of its family.
class Weights {
 public:
  explicit Weights(const std::filesystem::path& path) : checkpoint_(checkpoint::Checkpoint::open(path)) {
    const Json config = checkpoint_.config();
    std::optional<nn::ModelSpec> spec;
    try {
      if (!config.empty()) spec = models::declare(checkpoint_);
    } catch (const Error& error) {
      if (error.code() != Code::kUnsupported) throw;  // an unknown family: names are taken as they are
    }
    reader_ = formats::detect(checkpoint_, config);
    std::map<std::string, std::string> parts;
    const auto canonical = [&](const std::string& name) {
      return spec ? models::canonical_name(*spec, name) : name;
    };
    for (const std::string& module : reader_->modules()) {
      for (const std::string& tensor : reader_->tensors_of(module)) parts.emplace(tensor, module);
      entries_[canonical(module + ".weight")] = {.file_name = module, .quantized = true};
    }
    for (const checkpoint::TensorInfo& info : checkpoint_.tensors()) {
      if (is_floating_point(info.dtype) && !parts.contains(info.name))
        entries_.try_emplace(canonical(info.name), Entry{.file_name = info.name, .quantized = false});
    }
    if (!spec) return;
    for (const models::ModuleInfo& linear : models::linears_of(*spec)) {
      const auto entry = entries_.find(linear.path + ".weight");
      if (entry != entries_.end() && entry->second.quantized)
        entry->second.transposed = linear.class_name == "Conv1D";
    }
  }

  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries_) names.push_back(name);
    return names;
  }

  bool has(const std::string& name) const { return entries_.contains(name); }

  /// F32, in the shape of a plain checkpoint.
  Tensor values(const std::string& name, ThreadPool& pool) const {
    const Entry& entry = entries_.at(name);
    if (!entry.quantized) return to_float32(checkpoint_.read(entry.file_name));
    const QuantizedMatrix weight = reader_->read(entry.file_name);
    const Tensor values = scheme::dequantize(weight, pool, weight.rounding);
    return entry.transposed ? transpose(values) : values;
  }

  void release(const std::string& name) const {
    const Entry& entry = entries_.at(name);
    if (!entry.quantized) return checkpoint_.release(entry.file_name);
    for (const std::string& tensor : reader_->tensors_of(entry.file_name)) checkpoint_.release(tensor);
  }

 private:
  struct Entry {
    std::string file_name;  // of the tensor, or of the quantized module
    bool quantized = false, transposed = false;
  };

  checkpoint::Checkpoint checkpoint_;
  std::unique_ptr<formats::WeightReader> reader_;
  std::map<std::string, Entry> entries_;
};

// Sums are taken row by row, so that threads do not change them.
WeightDifference compare(const std::string& name, const Tensor& a, const Tensor& b, ThreadPool& pool) {
  FARTHING_REQUIRE(a.shape() == b.shape(), Code::kCorruptData,
                   "a weight has another shape in the other checkpoint",
                   {{"tensor", name}, {"shape", to_string(a.shape())}, {"other", to_string(b.shape())}});
  struct Sums {
    double error = 0, energy = 0, max_abs = 0;
  };
  const std::int64_t rows = a.rank() > 1 ? a.dim(0) : 1;
  const std::int64_t columns = rows > 0 ? a.numel() / rows : 0;
  std::vector<Sums> sums(static_cast<std::size_t>(rows));
  pool.parallel_for(rows, kRowsPerPiece, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      Sums& sum = sums[static_cast<std::size_t>(row)];
      for (std::int64_t i = row * columns; i < (row + 1) * columns; ++i) {
        const double value = a.data<float>()[i], difference = b.data<float>()[i] - value;
        sum.error += difference * difference;
        sum.energy += value * value;
        sum.max_abs = std::max(sum.max_abs, std::fabs(difference));
      }
    }
  });
  Sums total;
  for (const Sums& sum : sums) {
    total.error += sum.error;
    total.energy += sum.energy;
    total.max_abs = std::max(total.max_abs, sum.max_abs);
  }
  WeightDifference result{.name = name, .sqnr_db = 300, .max_abs = total.max_abs};
  if (total.error == 0) return result;
  result.relative_error = total.energy > 0 ? std::sqrt(total.error / total.energy) : 1;
  result.sqnr_db = -20 * std::log10(result.relative_error);
  return result;
}

}  // namespace

Differences diff(const std::filesystem::path& a, const std::filesystem::path& b, const std::string& pattern,
                 ThreadPool& pool, const CancelToken& cancel) {
  const scheme::Regex wanted(pattern, scheme::Regex::Fit::kAnywhere);
  const Weights first(a), second(b);
  Differences result;
  for (const std::string& name : first.names()) {
    if (!wanted.matches(name)) continue;
    cancel.check();
    if (!second.has(name)) {
      result.only_in_a.push_back(name);
      continue;
    }
    result.rows.push_back(compare(name, first.values(name, pool), second.values(name, pool), pool));
    first.release(name);
    second.release(name);
  }
  for (const std::string& name : second.names()) {
    if (!first.has(name) && wanted.matches(name)) result.only_in_b.push_back(name);
  }
  FARTHING_REQUIRE(!result.rows.empty(), Code::kInvalidArgument, "the checkpoints have no weight in common",
                   {{"a", a.string()}, {"b", b.string()}, {"tensors", pattern}},
                   "see their names with: farthing inspect MODEL --tensors");
  return result;
}

}  // namespace farthing::evaluate
