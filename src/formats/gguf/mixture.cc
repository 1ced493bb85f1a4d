#include "formats/gguf/mixture.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/error.h"
#include "checkpoint/gguf/blocks.h"

namespace farthing::formats::gguf {
namespace {

constexpr Mixture kMixtures[] = {
    {"F32", 0, "F32"},      {"F16", 1, "F16"},        {"BF16", 32, "BF16"},     {"Q8_0", 7, "Q8_0"},
    {"Q6_K", 18, "Q6_K"},   {"Q5_K_M", 17, "Q5_K"},   {"Q5_K_S", 16, "Q5_K"},   {"Q5_1", 9, "Q5_1"},
    {"Q5_0", 8, "Q5_0"},    {"Q4_K_M", 15, "Q4_K"},   {"Q4_K_S", 14, "Q4_K"},   {"Q4_1", 3, "Q4_1"},
    {"Q4_0", 2, "Q4_0"},    {"IQ4_NL", 25, "IQ4_NL"}, {"IQ4_XS", 30, "IQ4_XS"}, {"Q3_K_L", 13, "Q3_K"},
    {"Q3_K_M", 12, "Q3_K"}, {"Q3_K_S", 11, "Q3_K"},   {"Q2_K", 10, "Q2_K"},
};

constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"Q3_K", "Q3_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q5_K", "Q5_K_M"}};

// The kind of a tensor, and the index of its block.
enum class Kind { kValue, kKey, kAttentionOutput, kFeedForwardDown, kHead, kEmbedding, kOther };

struct Place {
  Kind kind = Kind::kOther;
  std::int64_t block = -1;
};

Place place_of(std::string_view name) {
  Place place;
  constexpr std::string_view kBlock = "blk.";
  if (name.starts_with(kBlock))
    std::from_chars(name.data() + kBlock.size(), name.data() + name.size(), place.block);
  constexpr std::pair<std::string_view, Kind> kKinds[] = {{".attn_v.weight", Kind::kValue},
                                                          {".attn_k.weight", Kind::kKey},
                                                          {".attn_output.weight", Kind::kAttentionOutput},
                                                          {".ffn_down.weight", Kind::kFeedForwardDown},
                                                          {".ffn_down_exps.weight", Kind::kFeedForwardDown}};
  for (const auto& [ending, kind] : kKinds) {
    if (name.ends_with(ending)) place.kind = kind;
  }
  if (name == "output.weight") place.kind = Kind::kHead;
  if (name == "token_embd.weight") place.kind = Kind::kEmbedding;
  return place;
}

// The first and last eighth of the blocks, and every third between them.
bool gets_more_bits(std::int64_t block, std::int64_t num_blocks) {
  const std::int64_t eighth = num_blocks / 8;
  return block < eighth || block >= 7 * num_blocks / 8 || (block - eighth) % 3 == 2;
}

bool is_uniform(const Mixture& mixture) {
  return mixture.name == mixture.base && !mixture.base.ends_with("_K") && !mixture.base.starts_with("IQ");
}

// What the mixture wants for a matrix of a kind.
std::string_view wanted_type(const Mixture& mixture, const ModelFacts& model, const Place& place) {
  const std::string_view name = mixture.name;
  const std::int64_t block = place.block, blocks = model.num_blocks;
  if (is_uniform(mixture)) return mixture.base;
  const bool is_head = place.kind == Kind::kHead || (place.kind == Kind::kEmbedding && !model.has_head);
  if (is_head) return "Q6_K";
  const bool shares_keys = model.num_key_value_heads > 0 && model.num_heads / model.num_key_value_heads >= 4;
  const bool eight_experts = model.num_experts == 8;
  switch (place.kind) {
    case Kind::kValue:
      if (eight_experts) return "Q8_0";
      if (name == "Q2_K") return shares_keys ? "Q4_K" : "Q3_K";
      if (name == "Q3_K_M") return block < 2 ? "Q5_K" : "Q4_K";
      if (name == "Q3_K_L") return "Q5_K";
      if (name == "Q4_K_M" || name == "Q5_K_M") return gets_more_bits(block, blocks) ? "Q6_K" : mixture.base;
      if (name == "Q4_K_S") return block < 4 ? "Q5_K" : "Q4_K";
      if (name.starts_with("IQ4")) return shares_keys ? "Q5_K" : mixture.base;
      return mixture.base;
    case Kind::kKey:
      return eight_experts ? "Q8_0" : mixture.base;
    case Kind::kAttentionOutput:
      if (eight_experts && mixture.base != "Q6_K") return "Q5_K";
      if (name == "Q2_K") return "Q3_K";
      if (name == "Q3_K_M") return "Q4_K";
      if (name == "Q3_K_L") return "Q5_K";
      return mixture.base;
    case Kind::kFeedForwardDown:
      if (name == "Q2_K") return "Q3_K";
      if (name == "Q3_K_M") return block < blocks / 16 ? "Q5_K" : "Q4_K";
      if (name == "Q3_K_L") return "Q5_K";
      if (name == "Q4_K_M" || name == "Q5_K_M") return gets_more_bits(block, blocks) ? "Q6_K" : mixture.base;
      if (name == "Q4_K_S") return block < blocks / 8 ? "Q5_K" : "Q4_K";
      if (name.starts_with("IQ4")) return block < blocks / 8 && !model.has_importance ? "Q5_K" : mixture.base;
      return mixture.base;
    default:
      return mixture.base;
  }
}

// A type whose blocks fit rows that are no multiple of 256 columns.
std::string_view fallback_for(std::string_view type) {
  if (type == "Q4_K") return "Q5_0";
  if (type == "Q5_K") return "Q5_1";
  if (type == "Q6_K") return "Q8_0";
  return type == "Q2_K" || type == "Q3_K" || type == "IQ4_XS" ? "IQ4_NL" : "F16";
}

bool fits(std::string_view type, std::int64_t columns) {
  const checkpoint::gguf::BlockType* block = checkpoint::gguf::find_block_type(type);
  return block == nullptr || columns % block->values == 0;
}

// Small or delicate tensors that llama.cpp never puts into blocks.
bool stays_plain(const TensorFacts& tensor) {
  return tensor.rank < 2 || !tensor.name.ends_with(".weight") || tensor.name.ends_with("_norm.weight") ||
         tensor.name.ends_with(".ffn_gate_inp.weight");
}

}  // namespace

std::span<const Mixture> mixtures() {
  return kMixtures;
}

const Mixture* find_mixture(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  for (const auto& [alias, meant] : kAliases) {
    if (alias == upper) upper = meant;
  }
  const auto found = std::ranges::find(kMixtures, std::string_view(upper), &Mixture::name);
  return found == std::end(kMixtures) ? nullptr : &*found;
}

ChosenType choose_type(const Mixture& mixture, const ModelFacts& model, const TensorFacts& tensor) {
  if (stays_plain(tensor)) return {"F32", ""};
  const std::string_view wanted = wanted_type(mixture, model, place_of(tensor.name));
  std::string_view type = wanted;
  while (!fits(type, tensor.columns)) type = fallback_for(type);
  if (type == wanted) return {type, ""};
  return {type,
          fmt::format("{} columns are no whole blocks of {}; {} is used", tensor.columns, wanted, type)};
}

}  // namespace farthing::formats::gguf
