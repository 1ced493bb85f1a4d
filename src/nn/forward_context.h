// What every module of a forward pass is told besides its input.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "nn/batch.h"
#include "nn/linear.h"
#include "nn/scratch.h"

namespace farthing::nn {

/// Called before every group of linears that share an input, with that input: where calibration listens.
/// `x` is [rows, linears[0]->in_features()].
using InputObserver =
    std::function<void(std::span<Linear* const> linears, const float* x, std::int64_t rows)>;

/// Keys (after the rotation) [rows, heads * head_dim] and values [rows, heads * value_dim] of one attention,
/// with the distances of their rows in floats.
struct KeysAndValues {
  const std::string& attention;  // canonical path
  const float *keys, *values;
  std::int64_t key_stride, value_stride, rows, num_heads, head_dim, value_dim;
};
using CacheObserver = std::function<void(const KeysAndValues&)>;

/// How many rows of a call a router sent to each expert: `experts` is their canonical path without number.
using RoutingObserver =
    std::function<void(const std::string& experts, const std::vector<std::int64_t>& tokens)>;

struct ForwardContext {
  ThreadPool& pool;
  const Batch& batch;
  const InputObserver* observer = nullptr;
  Scratch* scratch = nullptr;  // shared by the blocks of a pass; a block without one uses its own
  const CacheObserver* cache_observer = nullptr;
  const RoutingObserver* routing_observer = nullptr;
  bool calibrates_all_experts = false;  // every expert reads every row; only routed rows count for the output

  void observe(std::span<Linear* const> linears, const float* x, std::int64_t rows) const {
    if (observer != nullptr && *observer && rows > 0) (*observer)(linears, x, rows);
  }
};

}  // namespace farthing::nn
