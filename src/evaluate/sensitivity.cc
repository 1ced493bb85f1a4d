#include "evaluate/sensitivity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "kernels/elementwise.h"

namespace farthing::evaluate {
namespace {

constexpr std::int64_t kLogitRows = 128;  // made at once: they are as wide as the vocabulary
constexpr std::int64_t kTextTokens = 256;
constexpr std::uint64_t kRowBytes = 512ull << 20;

// The rows of all samples as they go through the model.
struct Rows {
  nn::Batch batch;
  Tensor hidden;  // [rows, H]
};

Rows embed(models::Model& model, std::span<const calibrate::Sample> samples, ThreadPool& pool) {
  Rows rows;
  std::vector<Tensor> parts;
  for (const calibrate::Sample& sample : samples) {
    models::Prepared prepared = model.prepare(sample.prompt.ids, sample.prompt.pictures, pool);
    parts.push_back(std::move(prepared.hidden));
    rows.batch.add(prepared.sequences.front());
  }
  rows.hidden = Tensor::empty(DType::kF32, {rows.batch.rows(), parts.front().dim(1)});
  std::byte* out = rows.hidden.mutable_bytes().data();
  for (const Tensor& part : parts) out = std::copy(part.bytes().begin(), part.bytes().end(), out);
  model.unload_inputs();
  return rows;
}

std::int64_t num_blocks(const models::Model& model) {
  return static_cast<std::int64_t>(model.spec().decoder.blocks.size());
}

void forward(models::Model& model, std::int64_t block, const nn::Batch& batch, Tensor& hidden,
             ThreadPool& pool) {
  model.block(block).forward(hidden.mutable_data<float>(), {.pool = pool, .batch = batch});
}

// What stands in for scales that calibration will find: those of the call itself.
std::optional<scheme::ActivationQuantization> at_run_time(std::optional<scheme::QuantizationArgs> args) {
  if (!args) return {};
  args->dynamic = scheme::Dynamic::kDynamic;
  if (args->strategy == scheme::Strategy::kTensorGroup) args->strategy = scheme::Strategy::kGroup;
  return scheme::ActivationQuantization{.args = *std::move(args)};
}

// Sum over rows of |changed - original|^2 / |original|^2: what reads a row norms it first, so that a few rows
// of huge numbers should not outvote the rest. Added up row by row, so that it is the same for any number of
// threads.
double relative_change(const Tensor& changed, const Tensor& original, ThreadPool& pool) {
  const std::int64_t columns = original.dim(1);
  std::vector<double> rows(static_cast<std::size_t>(original.dim(0)), 0.0);
  pool.parallel_for(original.dim(0), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float *x = changed.data<float>() + row * columns, *y = original.data<float>() + row * columns;
      double change = 0, size = 0;
      for (std::int64_t i = 0; i < columns; ++i) {
        const double difference = static_cast<double>(x[i]) - y[i];
        change += difference * difference;
        size += static_cast<double>(y[i]) * y[i];
      }
      rows[static_cast<std::size_t>(row)] = size > 0 ? change / size : 0;
    }
  });
  return std::accumulate(rows.begin(), rows.end(), 0.0);
}

// Logits of the original for some positions, ready to be compared with many others.
class OriginalLogits {
 public:
  OriginalLogits(Tensor logits, ThreadPool& pool)
      : logits_(std::move(logits)),
        probabilities_(Tensor::empty(DType::kF32, logits_.shape())),
        norms_(static_cast<std::size_t>(logits_.dim(0))),
        pool_(pool) {
    each_row([&](std::int64_t row, const float* z) {
      std::int64_t largest = 0;
      const double norm = kernels::log_sum_exp(z, vocab(), &largest);
      float* p = probabilities_.mutable_data<float>() + row * vocab();
      for (std::int64_t i = 0; i < vocab(); ++i) p[i] = static_cast<float>(std::exp(z[i] - norm));
      norms_[static_cast<std::size_t>(row)] = norm;
    });
  }

  // Sum over positions of KL = sum p (z - z') + log sum exp z' - log sum exp z. Differences are taken first:
  // the result may be a millionth of its terms.
  double divergence(const Tensor& other) const {
    std::vector<double> rows(norms_.size());
    each_row([&](std::int64_t row, const float* z) {
      const float* p = probabilities_.data<float>() + row * vocab();
      const float* changed = other.data<float>() + row * vocab();
      std::int64_t largest = 0;
      double moved = 0, total = 0;
      for (std::int64_t i = 0; i < vocab(); ++i) {
        if (p[i] == 0) continue;  // also where logits are -inf
        moved += static_cast<double>(p[i]) * (static_cast<double>(z[i]) - changed[i]);
        total += p[i];
      }
      const auto r = static_cast<std::size_t>(row);
      rows[r] = moved / total + kernels::log_sum_exp(changed, vocab(), &largest) - norms_[r];
    });
    return std::accumulate(rows.begin(), rows.end(), 0.0);
  }

 private:
  std::int64_t vocab() const { return logits_.dim(1); }

  template <typename Visit>
  void each_row(Visit visit) const {
    pool_.parallel_for(logits_.dim(0), 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) visit(row, logits_.data<float>() + row * vocab());
    });
  }

  Tensor logits_, probabilities_;
  std::vector<double> norms_;  // log sum exp of each row
  ThreadPool& pool_;
};

double mean_of(double sum, std::int64_t count) {
  FARTHING_REQUIRE(std::isfinite(sum), Code::kNumeric, "the model's logits are not finite", {},
                   "check the checkpoint with: farthing verify DIR");
  return std::max(sum / static_cast<double>(count), 0.0);  // rounding may leave it just below
}

Tensor logits_of(models::Model& model, const Tensor& hidden, std::int64_t begin, ThreadPool& pool) {
  const std::int64_t end = std::min(begin + kLogitRows, hidden.dim(0));
  return model.logits(model.final_hidden(hidden.rows(begin, end), pool), pool);
}

// One walk over the blocks with rows of the original and of every trial that differs from it already.
class Walk {
 public:
  Walk(models::Model& model, std::span<const calibrate::Sample> samples,
       std::span<const SensitivityTrial> trials, const QuantizeLinear& quantize, ThreadPool& pool,
       Reporter& reporter, const CancelToken& cancel)
      : model_(model),
        trials_(trials),
        quantize_(quantize),
        pool_(pool),
        reporter_(reporter),
        cancel_(cancel),
        rows_(embed(model, samples, pool)),
        moved_(trials.size()),
        changes_(trials.size()) {}

  std::vector<std::vector<double>> divergences() {
    for (std::int64_t block = 0; block < num_blocks(model_); ++block) {
      pass(block);
      const double done = static_cast<double>(block + 1) / static_cast<double>(num_blocks(model_));
      reporter_.progress({.stage = "sensitivity",
                          .fraction = done * done,  // the later, the more trials are under way
                          .done = block + 1,
                          .total = num_blocks(model_),
                          .detail = fmt::format("block {}", block)});
    }
    return compare();
  }

 private:
  void pass(std::int64_t block) {
    std::map<std::string, nn::Linear*> linears;
    for (nn::Linear* linear : model_.block(block).linears()) linears.emplace(linear->path(), linear);
    const Tensor before = rows_.hidden.clone();
    forward(model_, block, rows_.batch, rows_.hidden, pool_);
    for (std::size_t t = 0; t < trials_.size(); ++t) {
      cancel_.check();
      const bool is_here = std::ranges::any_of(
          trials_[t].front(), [&](const auto& entry) { return linears.contains(entry.first); });
      if (!is_here && !moved_[t].defined()) continue;
      if (!moved_[t].defined()) moved_[t] = before.clone();
      const std::vector<nn::Linear*> changed = quantize(trials_[t].front(), linears);
      forward(model_, block, rows_.batch, moved_[t], pool_);
      if (trials_[t].size() > 1) compare_ways(block, t, before, linears);
      restore(changed);
    }
    model_.unload_block(block);
  }

  // How much each way changes the block's output.
  void compare_ways(std::int64_t block, std::size_t t, const Tensor& before,
                    const std::map<std::string, nn::Linear*>& linears) {
    if (!changes_[t].empty()) return;  // of an earlier block
    changes_[t].push_back(relative_change(moved_[t], rows_.hidden, pool_));
    for (std::size_t way = 1; way < trials_[t].size(); ++way) {
      quantize(trials_[t][way], linears);
      Tensor hidden = before.clone();
      forward(model_, block, rows_.batch, hidden, pool_);
      changes_[t].push_back(relative_change(hidden, rows_.hidden, pool_));
    }
  }

  std::vector<nn::Linear*> quantize(const SchemesByLinear& schemes,
                                    const std::map<std::string, nn::Linear*>& linears) {
    std::vector<nn::Linear*> changed;
    for (const auto& [path, scheme] : schemes) {
      const auto found = linears.find(path);
      if (found == linears.end()) continue;
      found->second->set_weight(quantize_(path, scheme, weight_of(path)));
      found->second->set_input_quantization(at_run_time(scheme.input_activations));
      changed.push_back(found->second);
    }
    return changed;
  }

  void restore(const std::vector<nn::Linear*>& changed) {
    for (nn::Linear* linear : changed) {
      linear->set_weight(weight_of(linear->path()));
      linear->set_input_quantization({});
    }
  }

  Tensor weight_of(const std::string& path) const {
    return std::get<Tensor>(model_.source().linear_weight(path));
  }

  std::vector<std::vector<double>> compare() {
    std::vector<double> sums(trials_.size(), 0.0);
    const std::int64_t rows = rows_.hidden.dim(0);
    for (std::int64_t begin = 0; begin < rows; begin += kLogitRows) {
      const OriginalLogits original(logits_of(model_, rows_.hidden, begin, pool_), pool_);
      for (std::size_t t = 0; t < trials_.size(); ++t) {
        cancel_.check();
        if (moved_[t].defined()) sums[t] += original.divergence(logits_of(model_, moved_[t], begin, pool_));
      }
      reporter_.progress(
          {.stage = "divergence",
           .fraction = static_cast<double>(std::min(begin + kLogitRows, rows)) / static_cast<double>(rows),
           .done = std::min(begin + kLogitRows, rows),
           .total = rows,
           .detail = "tokens"});
    }
    std::vector<std::vector<double>> divergences;
    for (std::size_t t = 0; t < trials_.size(); ++t) {
      const double first = mean_of(sums[t], rows);
      std::vector<double>& ways = divergences.emplace_back(std::vector<double>{first});
      for (std::size_t way = 1; way < trials_[t].size(); ++way)
        ways.push_back(changes_[t][0] > 0 ? first * changes_[t][way] / changes_[t][0] : 0.0);
    }
    return divergences;
  }

  models::Model& model_;
  std::span<const SensitivityTrial> trials_;
  const QuantizeLinear& quantize_;
  ThreadPool& pool_;
  Reporter& reporter_;
  const CancelToken& cancel_;
  Rows rows_;                                 // of the original
  std::vector<Tensor> moved_;                 // hidden rows of each trial, once they differ
  std::vector<std::vector<double>> changes_;  // of the block's output, by way of each trial
};

}  // namespace

std::vector<calibrate::Sample> samples_of(const calibrate::CalibrationSet& set, std::int64_t tokens) {
  std::vector<calibrate::Sample> all = set.samples;
  std::int64_t available = 0;
  for (calibrate::Sample& sample : all) {
    std::vector<std::int32_t>& ids = sample.prompt.ids;
    if (sample.prompt.pictures.empty() && std::ssize(ids) > kTextTokens) ids.resize(kTextTokens);
    available += std::ssize(ids);
  }
  FARTHING_CHECK(available > 0);
  const auto wanted = static_cast<std::size_t>(tokens * std::ssize(all) / available);
  const std::size_t count = std::clamp<std::size_t>(wanted, 1, all.size());
  std::vector<calibrate::Sample> samples;
  for (std::size_t i = 0; i < count; ++i) samples.push_back(std::move(all[i * all.size() / count]));
  return samples;
}

std::size_t trials_at_once(const nn::ModelSpec& spec, std::int64_t rows) {
  const auto row_bytes = static_cast<std::uint64_t>(rows * spec.decoder.hidden_size * 4);
  return std::max<std::size_t>(kRowBytes / std::max<std::uint64_t>(row_bytes, 1), 1);
}

std::vector<std::vector<double>> measure_sensitivities(models::Model& model,
                                                       std::span<const calibrate::Sample> samples,
                                                       std::span<const SensitivityTrial> trials,
                                                       const QuantizeLinear& quantize, ThreadPool& pool,
                                                       Reporter& reporter, const CancelToken& cancel) {
  std::int64_t tokens = 0;
  for (const calibrate::Sample& sample : samples) tokens += std::ssize(sample.prompt.ids);
  const std::size_t at_once = trials_at_once(model.spec(), tokens);
  std::vector<std::vector<double>> all;
  for (std::size_t begin = 0; begin < trials.size(); begin += at_once) {
    const auto some = trials.subspan(begin, std::min(at_once, trials.size() - begin));
    for (std::vector<double>& ways :
         Walk(model, samples, some, quantize, pool, reporter, cancel).divergences())
      all.push_back(std::move(ways));
  }
  return all;
}

double measure_together(models::Model& model, std::span<const calibrate::Sample> samples,
                        const SchemesByLinear& schemes, const QuantizeLinear& quantize, ThreadPool& pool,
                        Reporter& reporter, const CancelToken& cancel) {
  const SensitivityTrial trial = {schemes};
  return Walk(model, samples, {&trial, 1}, quantize, pool, reporter, cancel).divergences().front().front();
}

double measure_models(models::Model& model, models::Model& other, std::span<const calibrate::Sample> samples,
                      ThreadPool& pool, const CancelToken& cancel) {
  Rows rows = embed(model, samples, pool), moved = embed(other, samples, pool);
  for (std::int64_t block = 0; block < num_blocks(model); ++block) {
    cancel.check();
    forward(model, block, rows.batch, rows.hidden, pool);
    forward(other, block, moved.batch, moved.hidden, pool);
    model.unload_block(block);
    other.unload_block(block);
  }
  double sum = 0;
  for (std::int64_t begin = 0; begin < rows.hidden.dim(0); begin += kLogitRows) {
    const OriginalLogits original(logits_of(model, rows.hidden, begin, pool), pool);
    sum += original.divergence(logits_of(other, moved.hidden, begin, pool));
  }
  return mean_of(sum, rows.hidden.dim(0));
}

}  // namespace farthing::evaluate
