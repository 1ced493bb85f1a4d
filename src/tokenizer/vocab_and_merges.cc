// vocab.json with merges.txt: byte-level BPE before there was tokenizer.json (GPT-2, OPT, RoBERTa, Qwen2).
#include <utility>

#include "base/file.h"
#include "tokenizer/bpe.h"
#include "tokenizer/json_tables.h"
#include "tokenizer/parts.h"

namespace farthing::tokenizer {

namespace {

constexpr std::string_view kQwen2Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

constexpr std::string_view kEndOfText = "<|endoftext|>";

MergeList read_merges(std::string_view text) {
  MergeList merges;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    const MergeList::Merge merge = split_merge(line);
    merges.add(merge.left, merge.right);
  }
  return merges;
}

/// What a class fills in where the configuration is silent.
struct ClassDefaults {
  bool is_qwen2;   // NFC and Qwen's own split pattern
  bool is_framed;  // <s> text </s>
};

ClassDefaults defaults_of(const std::string& tokenizer_class) {
  return {tokenizer_class == "Qwen2Tokenizer",
          tokenizer_class == "RobertaTokenizer" || tokenizer_class == "BartTokenizer"};
}

/// The tokens that GPT-2, RoBERTa and Qwen2 take for their roles unless told otherwise.
void add_default_roles(Tokenizer::Parts& parts, const ClassDefaults& defaults) {
  const auto add = [&](std::string_view role, std::string_view token) {
    if (parts.model->vocabulary().id(token)) parts.roles[std::string(role)] = token;
  };
  if (defaults.is_framed) {
    add("bos_token", "<s>");
    add("eos_token", "</s>");
    add("unk_token", "<unk>");
    add("pad_token", "<pad>");
    return;
  }
  if (!defaults.is_qwen2) add("bos_token", kEndOfText);
  for (const std::string_view role : {"eos_token", "unk_token"}) add(role, kEndOfText);
}

}  // namespace

Tokenizer::Parts read_vocab_and_merges(const std::filesystem::path& vocab_file,
                                       const std::filesystem::path& merges_file,
                                       const TokenizerConfig& config) {
  Vocabulary vocabulary = parse_vocabulary_json(read_text(vocab_file), vocab_file.string());
  const auto merges = resolve_merges(read_merges(read_text(merges_file)), vocabulary, "");
  const ClassDefaults defaults = defaults_of(config.tokenizer_class);
  const bool add_prefix_space = config.add_prefix_space.value_or(false);

  Tokenizer::Parts parts;
  parts.model = std::make_unique<Bpe>(std::move(vocabulary), merges, BpeOptions{});
  if (defaults.is_qwen2) {
    parts.normalizer = make_unicode_normalizer(NormalizationForm::kNfc);
    std::vector<PreTokenizerPtr> stages;
    stages.push_back(make_split(Regex::from_oniguruma(kQwen2Pattern), SplitBehavior::kIsolated, false));
    stages.push_back(make_byte_level(add_prefix_space, false));
    parts.pre_tokenizer = make_pre_tokenizer_sequence(std::move(stages));
  } else {
    parts.pre_tokenizer = make_byte_level(add_prefix_space, true);
  }
  parts.decoder = make_byte_level_decoder();
  add_default_roles(parts, defaults);
  parts.framing = Framing{config.add_bos_token.value_or(defaults.is_framed),
                          config.add_eos_token.value_or(defaults.is_framed)};
  return parts;
}

}  // namespace farthing::tokenizer
