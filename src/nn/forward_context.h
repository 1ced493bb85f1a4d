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

/// Keys (after the rotation) and values of one attention: [rows, heads * head_dim] each, with the distances
/// of their rows in floats.
struct KeysAndValues {
  const std::string& attention;  // canonical path
  const float *keys, *values;
  std::int64_t key_stride, value_stride, rows, num_heads, head_dim;
};
using CacheObserver = std::function<void(const KeysAndValues&)>;

struct ForwardContext {
  ThreadPool& pool;
  const Batch& batch;
  const InputObserver* observer = nullptr;
  Scratch* scratch = nullptr;  // shared by the blocks of a pass; a block without one uses its own
  const CacheObserver* cache_observer = nullptr;

  void observe(std::span<Linear* const> linears, const float* x, std::int64_t rows) const {
    if (observer != nullptr && *observer && rows > 0) (*observer)(linears, x, rows);
  }
};

}  // namespace farthing::nn
