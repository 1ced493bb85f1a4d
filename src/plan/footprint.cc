#include "plan/footprint.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace farthing::plan {
namespace {

constexpr std::uint64_t kHeaderBytes = 600;  // per tensor: its facts in source, plan and writer

std::uint64_t elements(const LinearPlan& linear) {
  return static_cast<std::uint64_t>(linear.module.in_features) *
         static_cast<std::uint64_t>(linear.module.out_features);
}

std::uint64_t stored_bytes(const LinearPlan& linear) {
  return elements(linear) * static_cast<std::uint64_t>(dtype_bits(linear.dtype)) / 8;
}

// GPTQ works on an fp32 copy; rounding needs only the codes beside the weight.
std::uint64_t work_bytes(const LinearPlan& linear) {
  const std::uint64_t codes = elements(linear),
                      packed =
                          elements(linear) * static_cast<std::uint64_t>(linear.scheme.weights->num_bits) / 8;
  const std::uint64_t copy = linear.method == Method::kGptq ? 4 * elements(linear) : 0;
  return stored_bytes(linear) + copy + codes + packed;
}

std::uint64_t hessian_bytes(const QuantizePlan& plan, const Step& step) {
  std::map<std::string, std::uint64_t> groups;
  bool paired = false;
  for (const std::size_t index : step.linears) {
    const LinearPlan& linear = plan.linears[index];
    if (linear.method != Method::kGptq) continue;
    paired = paired || linear.pairs_inputs();
    const auto size = static_cast<std::uint64_t>(linear.module.in_features);
    groups[linear.module.input_group] = 4 * size * size;
  }
  std::uint64_t sum = 0, largest = 0;
  for (const auto& [name, bytes] : groups) {
    sum += bytes;
    largest = std::max(largest, bytes);
  }
  // All Hessians of the step, one factor, and the space to make it; GPTAQ has a shift to every Hessian, and
  // two more matrices while it makes its own.
  return paired ? 2 * sum + 4 * largest : sum + 2 * largest;
}

// Inputs of the original block, which GPTAQ keeps until the same rows have gone through the quantized one.
std::uint64_t paired_bytes(const QuantizePlan& plan, const Step& step, std::int64_t rows) {
  std::map<std::string, std::int64_t> widths;
  for (const std::size_t index : step.linears) {
    const LinearPlan& linear = plan.linears[index];
    if (linear.pairs_inputs()) widths[linear.module.input_group] = linear.module.in_features;
  }
  std::uint64_t sum = 0;
  for (const auto& [name, width] : widths) sum += static_cast<std::uint64_t>(width);
  return sum * static_cast<std::uint64_t>(rows) * 4;
}

// How many rows of hidden states stand side by side: of the quantized and of the original model, and those of
// the latter before its scales moved on.
std::uint64_t streams(const QuantizePlan& plan) {
  const bool paired = plan.pairs_inputs();
  if (!plan.follows_quantized()) return 1;
  return 1 + std::uint64_t{plan.folds() || paired} + std::uint64_t{plan.folds() && paired};
}

// What finding a block's scales takes beside the block: Gram matrices of linears, inputs and outputs of
// modules that run again, and the weights that are tried, in fp32.
std::uint64_t fold_bytes(const QuantizePlan& plan, const BlockPlan& block, std::uint64_t tokens) {
  std::map<std::string, const LinearPlan*> linears;
  for (const Step& step : block.steps)
    for (const std::size_t index : step.linears)
      linears.emplace(plan.linears[index].module.path, &plan.linears[index]);
  const std::uint64_t rows_bytes = std::min<std::uint64_t>(tokens, kSearchRows + kRowsAtOnce) *
                                   static_cast<std::uint64_t>(plan.spec->decoder.hidden_size) * 4;
  std::uint64_t kept = 0, busiest = 0;
  for (const FoldPlan& fold : block.folds) {
    if (plan.recipe.transforms[fold.transform].kind != TransformKind::kAwq) continue;
    std::uint64_t tried = 0, largest = 0;
    for (const std::string& path : fold.measured) {
      const auto linear = linears.find(path);
      if (linear == linears.end()) continue;
      tried += 4 * elements(*linear->second);
      largest = std::max(largest, work_bytes(*linear->second) + 8 * elements(*linear->second));
    }
    if (fold.measured.size() == 1) {
      const auto columns = static_cast<std::uint64_t>(linears.at(fold.measured.front())->module.in_features);
      kept += 4 * columns * columns;
      busiest = std::max(busiest, 16 * std::min<std::uint64_t>(512 * columns, tried));
    } else {
      kept += rows_bytes;
      busiest = std::max(busiest, rows_bytes + tried + largest);
    }
  }
  return kept + busiest;
}

std::int64_t rows_together(std::span<const std::int64_t> token_counts) {
  std::int64_t most = 0, pending = 0;
  for (const std::int64_t length : token_counts) {
    if (pending > 0 && pending + length > kRowsAtOnce) pending = 0;
    pending += length;
    most = std::max(most, pending);
  }
  return most;
}

}  // namespace

// The widest moment inside a block: normed input, queries, keys, values and heads, or normed input, gate and
// up.
std::uint64_t activation_bytes(const nn::ModelSpec& spec, std::int64_t rows) {
  std::int64_t widest = 0;
  for (const nn::BlockSpec& block : spec.decoder.blocks) {
    const auto& attention = block.attention;
    const std::int64_t heads = attention.num_heads * attention.head_dim,
                       key_values = attention.key_width() + attention.value_width();
    const std::int64_t inner = block.moe ? block.moe->expert.up.out_features : block.mlp.up.out_features;
    widest = std::max({widest, 2 * heads + key_values, 2 * inner});
  }
  return static_cast<std::uint64_t>(rows) *
         static_cast<std::uint64_t>(widest + 3 * spec.decoder.hidden_size) * 4;
}

Footprint predict_footprint(const QuantizePlan& plan, std::span<const std::int64_t> token_counts) {
  Footprint footprint{.program_bytes = kProgramBytes + kHeaderBytes * plan.tensors.size()};
  for (const LinearPlan& linear : plan.linears)
    footprint.weight_bytes = std::max(footprint.weight_bytes, work_bytes(linear));
  if (!plan.needs_calibration || !plan.spec) {
    footprint.peak_bytes = footprint.program_bytes + footprint.weight_bytes;
    return footprint;
  }
  const std::int64_t tokens = std::accumulate(token_counts.begin(), token_counts.end(), std::int64_t{0});
  footprint.hidden_bytes = streams(plan) * static_cast<std::uint64_t>(tokens) *
                           static_cast<std::uint64_t>(plan.spec->decoder.hidden_size) * 4;
  if (plan.spec->audio) {  // rows in the tower while that is calibrated, then states that the decoder reads
    const nn::AudioSpec& audio = *plan.spec->audio;
    footprint.hidden_bytes +=
        token_counts.size() * static_cast<std::uint64_t>(audio.max_positions * audio.hidden_size) * 4;
  }
  const std::int64_t rows = rows_together(token_counts);
  footprint.activation_bytes = activation_bytes(*plan.spec, rows);
  const std::uint64_t models = plan.pairs_inputs() ? 2 : 1;  // whose block is resident
  std::uint64_t busiest = 0;
  for (const BlockPlan& block : plan.blocks) {
    std::uint64_t block_bytes = 0, work = 0;
    for (const Step& step : block.steps) {
      const std::uint64_t hessians = hessian_bytes(plan, step);
      std::uint64_t largest = 0;
      for (const std::size_t index : step.linears) {
        block_bytes += block.index >= 0 ? models * stored_bytes(plan.linears[index]) : 0;
        largest = std::max(largest, work_bytes(plan.linears[index]));
      }
      footprint.hessian_bytes = std::max(footprint.hessian_bytes, hessians);
      // Either samples run (activations) or a linear is worked on.
      work = std::max(
          work, hessians + std::max(largest, footprint.activation_bytes + paired_bytes(plan, step, rows)));
    }
    if (!block.folds.empty())
      work = std::max(
          work, fold_bytes(plan, block, static_cast<std::uint64_t>(tokens)) + footprint.activation_bytes);
    footprint.block_bytes = std::max(footprint.block_bytes, block_bytes);
    busiest = std::max(busiest, block_bytes + work);
  }
  footprint.peak_bytes = footprint.program_bytes + kHeapBytes + footprint.hidden_bytes + busiest;
  return footprint;
}

std::uint64_t measuring_bytes(const QuantizePlan& plan, std::int64_t tokens, std::size_t trials) {
  constexpr std::uint64_t kLogitRows = 128, kLogitTensors = 3;  // as evaluate/sensitivity.cc has them
  const nn::DecoderSpec& decoder = plan.spec->decoder;
  const auto hidden = static_cast<std::uint64_t>(decoder.hidden_size),
             vocab = static_cast<std::uint64_t>(decoder.vocab_size);
  std::map<std::int64_t, std::uint64_t> blocks;
  std::uint64_t largest_block = 0, largest_linear = 0;
  for (const LinearPlan& linear : plan.linears) {
    largest_linear = std::max(largest_linear, work_bytes(linear));
    if (linear.module.block >= 0)
      largest_block = std::max(largest_block, blocks[linear.module.block] += stored_bytes(linear));
  }
  const std::uint64_t rows = static_cast<std::uint64_t>(tokens) * hidden * 4 * (trials + 3);
  const std::uint64_t in_blocks = largest_block + largest_linear + activation_bytes(*plan.spec, tokens);
  const std::uint64_t at_the_head = vocab * hidden * 2 + kLogitTensors * kLogitRows * vocab * 4;
  return kProgramBytes + kHeaderBytes * plan.tensors.size() + kHeapBytes + rows +
         std::max(in_blocks, at_the_head);
}

}  // namespace farthing::plan
