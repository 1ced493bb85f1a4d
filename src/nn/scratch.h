// Intermediate rows, kept from layer to layer and from token to token, so that a pass allocates them once.
#pragma once

#include <array>
#include <cstddef>

#include "nn/rope.h"
#include "tensor/tensor.h"

namespace farthing::nn {

class Scratch {
 public:
  /// What a buffer holds; buffers of different uses never overlap.
  enum Use {
    kNormed,
    kSecondNormed,
    kBranch,
    kProjected,
    kQuery,
    kKey,
    kValue,
    kAttended,
    kKeyValueLatent,
    kNormedLatent,
    kExpanded,
    kGate,
    kUp,
    kActivated,
    kRouterLogits,
    kExpertInput,
    kExpertOutput,
    kNumUses,
  };

  /// Returns memory for `count` floats with undefined contents, valid until the next request for the same
  /// use.
  float* floats(Use use, std::int64_t count) {
    Tensor& buffer = buffers_[use];
    if (!buffer.defined() || buffer.numel() < count) buffer = Tensor::empty(DType::kF32, {count});
    return buffer.mutable_data<float>();
  }

  RotaryTables& rotary_tables() { return rotary_tables_; }

 private:
  std::array<Tensor, kNumUses> buffers_;
  RotaryTables rotary_tables_;
};

}  // namespace farthing::nn
