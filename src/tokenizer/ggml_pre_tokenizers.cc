#include "tokenizer/ggml_pre_tokenizers.h"

#include <algorithm>
#include <span>
#include <vector>

#include "tokenizer/json_fields.h"

namespace farthing::tokenizer {
namespace {

constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S))";

// One after the other; a digit by itself where `kDigit` stands.
constexpr std::string_view kDigit = "digit", kByteLevelPattern = "gpt2";
constexpr std::string_view kLlama3Stages[] = {kLlama3};
constexpr std::string_view kQwen2Stages[] = {kQwen2};
constexpr std::string_view kGpt2Stages[] = {kByteLevelPattern};
constexpr std::string_view kDigitStages[] = {kDigit, kByteLevelPattern};
constexpr std::string_view kDefaultStages[] = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)",
                                               "[0-9][0-9][0-9]"};

struct Known {
  std::string_view name;
  std::span<const std::string_view> stages;
  bool composes = false, ignore_merges = false, adds_bos = false;
};

// The first name with the wanted stages is the one that is written.
constexpr Known kKnown[] = {
    {"llama-bpe", kLlama3Stages, false, true, true},
    {"llama3", kLlama3Stages, false, true, true},
    {"llama-v3", kLlama3Stages, false, true, true},
    {"falcon3", kLlama3Stages, false, true, true},
    {"smaug-bpe", kLlama3Stages},
    {"dbrx", kLlama3Stages},
    {"qwen2", kQwen2Stages, true},
    {"deepseek-r1-qwen", kQwen2Stages, true},
    {"stablelm2", kQwen2Stages, true},
    {"gpt-2", kGpt2Stages},
    {"phi-2", kGpt2Stages},
    {"jina-es", kGpt2Stages},
    {"jina-de", kGpt2Stages},
    {"mpt", kGpt2Stages},
    {"olmo", kGpt2Stages},
    {"jais", kGpt2Stages},
    {"smollm", kDigitStages},
    {"starcoder", kDigitStages},
    {"refact", kDigitStages},
    {"command-r", kDigitStages},
    {"exaone", kDigitStages},
    {"codeshell", kDigitStages},
    {"default", kDefaultStages},
};

Json byte_level(bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json split(std::string_view pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}

Json describe(std::span<const std::string_view> stages) {
  Json list = Json::array();
  bool has_pattern = false;
  for (const std::string_view stage : stages) {
    if (stage == kDigit) {
      list.push_back({{"type", "Digits"}, {"individual_digits", true}});
    } else if (stage == kByteLevelPattern) {
      has_pattern = true;
    } else {
      list.push_back(split(stage));
    }
  }
  list.push_back(byte_level(has_pattern));
  return {{"type", "Sequence"}, {"pretokenizers", std::move(list)}};
}

// The stages of a description as the table has them; nothing when one of them is of another kind.
std::optional<std::vector<std::string>> stages_of(const Json& description) {
  std::vector<std::string> stages;
  const std::string type = description.is_object() ? description.value("type", "") : "";
  if (type == "Sequence" && description.contains("pretokenizers")) {
    for (const Json& part : description["pretokenizers"]) {
      auto some = stages_of(part);
      if (!some) return std::nullopt;
      stages.insert(stages.end(), some->begin(), some->end());
    }
    return stages;
  }
  if (type == "ByteLevel") {
    if (description.value("add_prefix_space", false)) return std::nullopt;
    if (description.value("use_regex", true)) stages.emplace_back(kByteLevelPattern);
    return stages;
  }
  if (type == "Digits" && description.value("individual_digits", false)) return {{std::string(kDigit)}};
  if (type == "Split" && description.value("behavior", "") == "Isolated" &&
      !description.value("invert", false)) {
    const Json& pattern = description.value("pattern", Json::object());
    if (pattern.is_object() && pattern.contains("Regex") && pattern["Regex"].is_string())
      return {{pattern["Regex"].get<std::string>()}};
  }
  return std::nullopt;
}

}  // namespace

std::optional<GgmlPreTokenizer> find_ggml_pre_tokenizer(std::string_view name) {
  for (const Known& known : kKnown) {
    if (known.name == name)
      return GgmlPreTokenizer{describe(known.stages), known.composes, known.ignore_merges, known.adds_bos};
  }
  return std::nullopt;
}

std::string ggml_pre_tokenizer_name(const Json& pre_tokenizer) {
  const auto stages = stages_of(pre_tokenizer);
  if (!stages) return "";
  for (const Known& known : kKnown) {
    if (std::ranges::equal(known.stages, *stages)) return std::string(known.name);
  }
  return "";
}

}  // namespace farthing::tokenizer
