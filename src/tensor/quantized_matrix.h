// A weight matrix in codes and scales, independent of any file format: what methods produce, what formats
// read and write, what kernels pack. Scheme names and file layouts live elsewhere; this is the data alone.
#pragma once

#include <algorithm>
#include <memory>

#include "tensor/tensor.h"

namespace farthing {

/// kNf4 and kFp4 are bitsandbytes' tables of 16 values, which are not evenly spaced.
enum class NumberType : std::uint8_t { kInt, kFloat, kNf4, kFp4 };

/// Which elements share a scale. kBlock is a rectangle (FP8 128 x 128).
enum class Granularity : std::uint8_t { kTensor, kChannel, kGroup, kBlock };

/// Scales that are themselves quantized in blocks (bitsandbytes' double quantization): the scale of block b,
/// counted through the flattened weight, is table[codes[b]] * scales[b / block_size] + offset.
struct NestedScales {
  Tensor codes;   // U8 [blocks of the weight]
  Tensor table;   // F32 [256]
  Tensor scales;  // F32 [ceil(blocks / block_size)]
  float offset = 0;
  std::int64_t block_size = 256;
};

/// weight[r, c] = (code[r, c] - zero_point[r, g]) * scale[r, g], with g = group_index[c] if present, else c /
/// group_size.
struct QuantizedMatrix {
  std::int64_t rows = 0;     // out_features
  std::int64_t columns = 0;  // in_features
  int bits = 4;
  NumberType type = NumberType::kInt;
  Granularity granularity = Granularity::kGroup;
  std::int64_t group_size = 128;  // columns that share a scale; `columns` for kChannel and kTensor
  std::int64_t block_rows = 1;    // rows that share a scale (kBlock only)
  bool symmetric = true;

  Tensor codes;   // kInt: I8 [rows, columns], signed, in [-2^(bits-1), 2^(bits-1) - 1].
                  // kFloat: F8_E4M3 [rows, columns], or U8 [rows, columns] with one E2M1 nibble per byte.
                  // kNf4, kFp4: U8 [rows, columns], places in `table`.
  Tensor scales;  // [rows, groups] (kTensor: [1, 1]; kBlock: [row blocks, column blocks]) in the dtype of the
                  // file: a float type, F8_E4M3 (NVFP4) or F8_E8M0 (MX)
  Tensor zero_points;      // I8, shape of `scales`, signed like the codes; undefined when symmetric
  Tensor group_index;      // I32 [columns]: activation-ordered groups; undefined when groups are contiguous
  float global_scale = 0;  // NVFP4, LLM.int8: scales are divided by it; 0 means none
  Tensor table;            // F32 [16], for kNf4 and kFp4
  std::shared_ptr<const NestedScales> nested_scales;  // what `scales` were computed from, where they were
  std::int64_t block_size = 0;   // kNf4, kFp4: elements of the flattened weight that share a scale;
                                 // `group_size` is their largest divisor that rows do not cut
  DType rounding = DType::kF32;  // the type in which the format's own loader forms the values

  std::int64_t num_groups() const { return scales.dim(1); }

  /// Rows that share a scale; the row of `scales` for row r is r / rows_per_scale().
  std::int64_t rows_per_scale() const {
    if (granularity == Granularity::kTensor) return std::max<std::int64_t>(rows, 1);
    return granularity == Granularity::kBlock ? block_rows : 1;
  }
};

}  // namespace farthing
