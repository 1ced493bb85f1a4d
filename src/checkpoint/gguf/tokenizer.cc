#include "checkpoint/gguf/tokenizer.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "checkpoint/byte_reader.h"

namespace farthing::checkpoint::gguf {
namespace {

// Kinds of tokens in tokenizer.ggml.token_type.
constexpr int kControl = 3, kUserDefined = 4;

constexpr std::string_view kWords =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

SortedJson byte_level(bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

// The words of Llama 3 and Qwen 2, which differ in how many digits stand together.
SortedJson split_into_words(std::string_view digits) {
  std::string pattern(kWords);
  pattern.replace(pattern.find('%'), 1, digits);
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
}

// What stands before byte-level BPE, by tokenizer.ggml.pre; null for names that are not known.
SortedJson pre_tokenizer(const std::string& name) {
  SortedJson steps = SortedJson::array();
  if (name == "gpt-2") return byte_level(true);
  if (name == "smollm")
    steps = {{{"type", "Digits"}, {"individual_digits", true}}, byte_level(true)};
  else if (name == "llama-bpe")
    steps = {split_into_words("{1,3}"), byte_level(false)};
  else if (name == "qwen2")
    steps = {split_into_words(""), byte_level(false)};
  else
    return nullptr;
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

class Vocabulary {
 public:
  Vocabulary(const Json& metadata, const std::string& file)
      : metadata_(metadata), file_(file), tokens_(array("tokens")), types_(array("token_type")) {
    for (const Json& token : tokens_) require(token.is_string(), "tokens");
    require(types_.size() == tokens_.size(), "token_type");
    for (const Json& type : types_) require(type.is_number_integer(), "token_type");
  }

  std::optional<std::string> text(const char* key) const {
    const Json* found = find(key);
    return found != nullptr && found->is_string() ? std::optional(found->get<std::string>()) : std::nullopt;
  }
  bool flag(const char* key) const {
    const Json* found = find(key);
    return found != nullptr && found->is_boolean() && found->get<bool>();
  }

  // The token whose id `key` holds.
  std::optional<std::string> token(const char* key) const {
    const Json* found = find(key);
    if (found == nullptr) return {};
    require(found->is_number_unsigned() && found->get<std::uint64_t>() < tokens_.size(), key);
    return tokens_[found->get<std::size_t>()].get<std::string>();
  }

  SortedJson vocab() const {
    SortedJson vocab = SortedJson::object();
    for (std::size_t id = 0; id < tokens_.size(); ++id) vocab[tokens_[id].get<std::string>()] = id;
    return vocab;
  }

  SortedJson added_tokens() const {
    SortedJson added = SortedJson::array();
    for (std::size_t id = 0; id < tokens_.size(); ++id) {
      const int type = types_[id].get<int>();
      if (type != kControl && type != kUserDefined) continue;
      added.push_back({{"id", id},
                       {"content", tokens_[id].get<std::string>()},
                       {"single_word", false},
                       {"lstrip", false},
                       {"rstrip", false},
                       {"normalized", false},
                       {"special", type == kControl}});
    }
    return added;
  }

  SortedJson merges() const {
    SortedJson merges = SortedJson::array();
    for (const Json& merge : array("merges")) {
      require(merge.is_string(), "merges");
      merges.push_back(merge.get<std::string>());
    }
    return merges;
  }

  std::size_t id_of(const std::string& token) const {
    return static_cast<std::size_t>(std::find(tokens_.begin(), tokens_.end(), token) - tokens_.begin());
  }

 private:
  const Json* find(const char* key) const {
    const auto found = metadata_.find(fmt::format("tokenizer.ggml.{}", key));
    return found == metadata_.end() ? nullptr : &*found;
  }
  const Json& array(const char* key) const {
    const Json* found = find(key);
    require(found != nullptr && found->is_array(), key);
    return *found;
  }
  void require(bool holds, const char* key) const {
    FARTHING_REQUIRE(holds, Code::kCorruptData, "the file's tokenizer contradicts itself",
                     {{"file", file_}, {"key", fmt::format("tokenizer.ggml.{}", key)}},
                     "it may be damaged; fetch it again");
  }

  const Json& metadata_;
  const std::string& file_;
  const Json& tokens_;
  const Json& types_;
};

// Puts the beginning-of-sequence token in front of every text.
SortedJson post_processor(const Vocabulary& vocabulary) {
  const auto bos = vocabulary.token("bos_token_id");
  if (!vocabulary.flag("add_bos_token") || !bos) return nullptr;
  const SortedJson special = {{"SpecialToken", {{"id", *bos}, {"type_id", 0}}}};
  const SortedJson text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const SortedJson second = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
  return {
      {"type", "TemplateProcessing"},
      {"single", SortedJson::array({special, text})},
      {"pair", SortedJson::array({special, text, second})},
      {"special_tokens",
       {{*bos, {{"id", *bos}, {"ids", {vocabulary.id_of(*bos)}}, {"tokens", SortedJson::array({*bos})}}}}}};
}

SortedJson tokenizer_json(const Vocabulary& vocabulary, SortedJson before, bool whole_words) {
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", vocabulary.added_tokens()},
          {"normalizer", nullptr},
          {"pre_tokenizer", std::move(before)},
          {"post_processor", post_processor(vocabulary)},
          {"decoder", byte_level(true)},
          {"model",
           {{"type", "BPE"},
            {"dropout", nullptr},
            {"unk_token", nullptr},
            {"continuing_subword_prefix", nullptr},
            {"end_of_word_suffix", nullptr},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"ignore_merges", whole_words},
            {"vocab", vocabulary.vocab()},
            {"merges", vocabulary.merges()}}}};
}

// The class reads tokenizer.json as it stands; the classes of families rebuild parts of it.
Json tokenizer_config(const Vocabulary& vocabulary) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}, {"clean_up_tokenization_spaces", false}};
  for (const auto& [key, name] : {std::pair{"bos_token_id", "bos_token"},
                                  {"eos_token_id", "eos_token"},
                                  {"padding_token_id", "pad_token"},
                                  {"unknown_token_id", "unk_token"}}) {
    if (const auto token = vocabulary.token(key)) config[name] = *token;
  }
  return config;
}

}  // namespace

std::map<std::string, std::string> tokenizer_files(const Json& metadata, const std::string& file) {
  const auto text = [&](const char* key) {
    const auto found = metadata.find(key);
    return found != metadata.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const std::string model = text("tokenizer.ggml.model"), pre = text("tokenizer.ggml.pre");
  SortedJson before = model == "gpt2" ? pre_tokenizer(pre) : SortedJson();
  FARTHING_REQUIRE(!before.is_null(), Code::kUnsupported, "this tokenizer of GGUF is not read",
                   {{"file", file}, {"model", printable(model)}, {"pre", printable(pre)}},
                   "put the model's tokenizer.json beside the file");
  const Vocabulary vocabulary(metadata, file);
  std::map<std::string, std::string> files;
  SortedJson tokenizer = tokenizer_json(vocabulary, std::move(before), pre == "llama-bpe");
  if (pre == "qwen2") tokenizer["normalizer"] = {{"type", "NFC"}};
  files["tokenizer.json"] = tokenizer.dump(1) + "\n";
  files["tokenizer_config.json"] = tokenizer_config(vocabulary).dump(2) + "\n";
  if (std::string chat = text("tokenizer.chat_template"); !chat.empty())
    files["chat_template.jinja"] = std::move(chat);
  return files;
}

}  // namespace farthing::checkpoint::gguf
