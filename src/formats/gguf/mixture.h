// Which block type every tensor of a GGUF file gets: single types, and the mixtures that llama.cpp chooses
// tensor by tensor, because some weights (values, the MLP's output, the head) suffer more from few bits.
// Rules: formats-and-algorithms A5.4.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace farthing::formats::gguf {

/// What the choice for one tensor depends on.
struct TensorFacts {
  std::string name;  // llama.cpp's: "blk.3.attn_v.weight"
  std::int64_t columns = 0;
  std::int64_t rank = 2;
};

/// What it depends on in the whole model.
struct ModelFacts {
  std::int64_t num_blocks = 0;
  std::int64_t num_heads = 0, num_key_value_heads = 0;
  std::int64_t num_experts = 0;
  bool has_head = true;         // false: the embedding is the head too
  bool has_importance = false;  // calibration has weighed the columns
};

/// A name that --scheme takes: "Q4_K_M", "Q8_0", "F16".
struct Mixture {
  std::string_view name;
  std::uint32_t file_type;  // general.file_type
  std::string_view base;    // the type of most tensors
};

/// All of them, the largest first.
std::span<const Mixture> mixtures();

/// Nothing for other names; case does not matter, and Q3_K, Q4_K and Q5_K mean their medium mixtures.
const Mixture* find_mixture(std::string_view name);

/// The type of a tensor ("F32", "Q6_K"), and why it is not the one that the mixture wants.
struct ChosenType {
  std::string_view type;
  std::string deviation;
};
ChosenType choose_type(const Mixture& mixture, const ModelFacts& model, const TensorFacts& tensor);

}  // namespace farthing::formats::gguf
