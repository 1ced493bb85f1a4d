// How one set of values is quantized, in the words of compressed-tensors' QuantizationArgs: the vocabulary
// that recipes, checkpoints and methods share.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "tensor/quantized_matrix.h"

namespace farthing::scheme {

/// Which values share a scale. kToken is for activations (a scale per row, at run time), kAttentionHead for
/// the KV cache.
enum class Strategy : std::uint8_t {
  kTensor,
  kChannel,
  kGroup,
  kTensorGroup,
  kBlock,
  kToken,
  kAttentionHead
};

/// The order in which GPTQ walks columns. kWeight ("weight", "static") goes by importance and leaves groups
/// contiguous; kGroup ("group", "dynamic") also forms the groups in that order, and the file needs a group
/// index.
enum class ActivationOrder : std::uint8_t { kNone, kGroup, kWeight };

/// When activation scales are found: before (calibration), at run time, or a mix (NVFP4: global before,
/// groups at run time).
enum class Dynamic : std::uint8_t { kStatic, kDynamic, kLocal };

struct QuantizationArgs {
  int num_bits = 8;
  NumberType type = NumberType::kInt;
  bool symmetric = true;
  Strategy strategy = Strategy::kTensor;
  std::optional<std::int64_t> group_size;                      // set for kGroup and kTensorGroup only
  std::optional<std::array<std::int64_t, 2>> block_structure;  // rows, columns; set for kBlock only
  Dynamic dynamic = Dynamic::kStatic;
  ActivationOrder actorder = ActivationOrder::kNone;
  std::string observer =
      "minmax";  // how the range is found; see observer.h. Empty when `dynamic` is kDynamic
  Json observer_kwargs = Json::object();
  std::optional<DType> scale_dtype;  // F8_E4M3 (implied by kTensorGroup), U8 (MX exponents, and the nested
                                     // scales of kNf4 and kFp4), F32 (LLM.int8); none: the model's

  bool operator==(const QuantizationArgs&) const = default;
};

/// Reads a JSON object as current and older compressed-tensors do: missing keys take their defaults, "static"
/// means "weight", a group_size of -1 means a scale per channel. `where` ("group_0.weights") is for messages.
/// Throws kInvalidArgument naming the key for unknown keys, wrong types and combinations that contradict each
/// other.
QuantizationArgs parse_quantization_args(const Json& json, std::string_view where);

/// Writes keys that every release accepts: scale_dtype and zp_dtype, which old ones reject, only where the
/// meaning needs them. Keys are sorted, as compressed-tensors writes them.
Json to_json(const QuantizationArgs& args);

/// Throws kInvalidArgument unless `args` can describe weights, or activations.
void require_weight_args(const QuantizationArgs& args, std::string_view where);
void require_activation_args(const QuantizationArgs& args, std::string_view where);

/// True for the tables of bitsandbytes, whose groups are blocks of the flattened weight.
bool is_blockwise(const QuantizationArgs& args);

/// True for LLM.int8: 8-bit integers with a scale in full precision per channel.
bool is_llm_int8(const QuantizationArgs& args);

std::string_view strategy_name(Strategy strategy);

/// How a matrix is cut into cells that share a scale: every strategy is a rectangle of cell_rows x
/// cell_columns, the last ones of a row or column possibly smaller.
struct CellGrid {
  std::int64_t rows = 0, columns = 0;            // of the matrix
  std::int64_t cell_rows = 1, cell_columns = 1;  // of a cell

  std::int64_t scale_rows() const { return (rows + cell_rows - 1) / cell_rows; }
  std::int64_t scale_columns() const { return (columns + cell_columns - 1) / cell_columns; }
};

/// Returns the cells of a weight [rows, columns]. Throws kInvalidArgument for strategies that are not for
/// weights.
CellGrid cell_grid(const QuantizationArgs& args, std::int64_t rows, std::int64_t columns);

/// Returns how QuantizedMatrix names the strategy of a weight.
Granularity granularity_of(const QuantizationArgs& args);

}  // namespace farthing::scheme
