// A mixture of experts: a router sends every row to its best experts, and their outputs are summed with its
// weights.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/mlp.h"

namespace farthing::nn {

class MixtureOfExperts {
 public:
  /// Loads PARENT.NAME.*.
  MixtureOfExperts(const MoeSpec& spec, const std::string& parent, const WeightSource& source);

  /// y [rows, H] = experts(x [rows, H]). Needs context.scratch. x and y do not overlap.
  void forward(const float* x, std::int64_t rows, float* y, const ForwardContext& context);

  /// router, every expert's gate, up, down, then those of the shared expert and its gate.
  void append_linears(std::vector<Linear*>& linears);
  std::size_t num_bytes() const;

  /// The expert (or shared expert) at a canonical path, or null.
  Mlp* expert(const std::string& path);
  void append_expert_paths(std::vector<std::string>& paths) const;

 private:
  /// A row that an expert computes, and the weight of the result.
  struct Assignment {
    std::int64_t row;
    float weight;
    bool is_routed = true;  // false: computed for calibration only, and forgotten
  };

  static std::vector<std::int64_t> routed_tokens(const std::vector<std::vector<Assignment>>& assignments);
  std::vector<std::vector<Assignment>> route(const float* x, std::int64_t rows,
                                             const ForwardContext& context);
  /// The chosen experts of one row, best first.
  std::vector<std::size_t> choose(const float* scores) const;
  /// Takes the experts outside of the best groups out of the choice.
  void leave_best_groups(std::vector<float>& scores) const;
  void run_expert(Mlp& expert, const std::vector<Assignment>& assignments, const float* x, float* y,
                  const ForwardContext& context);
  void add_shared_expert(const float* x, std::int64_t rows, float* y, const ForwardContext& context);

  MoeSpec spec_;
  std::string path_;
  Linear router_;
  Tensor choice_bias_;  // F32 [experts]
  std::vector<Mlp> experts_;
  std::optional<Mlp> shared_expert_;
  Linear shared_expert_gate_;
};

}  // namespace farthing::nn
