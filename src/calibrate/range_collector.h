// The ranges of activations that are quantized with fixed scales: inputs of linears, keys and values.
#pragma once

#include <map>
#include <vector>

#include "calibrate/listener.h"
#include "scheme/activation.h"

namespace farthing::calibrate {

class RangeCollector : public Listener {
 public:
  /// Listens at these linears and attentions (canonical paths) for the ranges that their arguments ask for.
  /// Observers: "minmax" is a moving average over sequences with `averaging_constant` (0.01), as
  /// llm-compressor has it; "static_minmax" the widest range of all. Throws kUnsupported for others.
  RangeCollector(std::map<std::string, scheme::QuantizationArgs> inputs,
                 std::map<std::string, scheme::QuantizationArgs> caches);

  void begin(const nn::Batch& batch) override { lengths_ = batch.lengths; }
  void inputs(std::span<const std::string> paths, const float* x, std::int64_t rows,
              std::int64_t columns) override;
  void keys_and_values(const nn::KeysAndValues& heads) override;

  /// Whether anything came by at this linear.
  bool has_input(const std::string& path) const { return !inputs_.at(path).lowest.empty(); }
  /// Takes over what another collector found at its linears.
  void take_inputs(const RangeCollector& other) {
    for (const auto& [path, observed] : other.inputs_) inputs_[path] = observed;
  }

  /// Whether keys and values of this attention have come by.
  bool has_cache(const std::string& attention) const { return !keys_.at(attention).lowest.empty(); }

  /// What was found, with scales in `model_dtype`. Throws kNumeric when no token came by.
  scheme::ActivationQuantization input(const std::string& path, DType model_dtype) const;
  scheme::ActivationQuantization keys(const std::string& attention, DType model_dtype) const;
  scheme::ActivationQuantization values(const std::string& attention, DType model_dtype) const;

 private:
  struct Observed {
    scheme::QuantizationArgs args;
    std::vector<float> lowest, highest;  // one per scale; empty until something came by

    /// Takes in one sequence.
    void update(const float* x, std::int64_t stride, std::int64_t rows, std::int64_t columns,
                std::int64_t num_cells);
  };

  void update(Observed& observed, const float* x, std::int64_t stride, std::int64_t rows,
              std::int64_t columns, std::int64_t num_cells) const;
  static scheme::ActivationQuantization result(const std::map<std::string, Observed>& observed,
                                               const std::string& path, DType model_dtype);

  std::map<std::string, Observed> inputs_, keys_, values_;
  std::vector<std::int64_t> lengths_;
};

}  // namespace farthing::calibrate
