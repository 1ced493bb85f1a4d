// From the arrays of a GGUF file to the files that a Hugging Face folder has beside its weights.
#include <bit>
#include <utility>

#include "base/error.h"
#include "tokenizer/ggml_parts.h"

namespace farthing::tokenizer {
namespace {

// The wire format of protocol buffers, for tokenizer.model.
class MessageWriter {
 public:
  void integer(int field, std::int64_t value) {
    varint(static_cast<std::uint64_t>(field) << 3);
    varint(static_cast<std::uint64_t>(value));
  }
  void number(int field, float value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 5);
    const auto bits = std::bit_cast<std::uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) bytes_.push_back(static_cast<char>(bits >> shift));
  }
  void text(int field, std::string_view value) {
    varint(static_cast<std::uint64_t>(field) << 3 | 2);
    varint(value.size());
    bytes_ += value;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>(value | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }

  std::string bytes_;
};

std::string tokenizer_model(const GgmlVocabulary& vocabulary) {
  const SentencePieceModel model = sentencepiece_model_of(vocabulary);
  MessageWriter message, trainer, normalizer;
  for (const Piece& piece : model.pieces) {
    MessageWriter writer;
    writer.text(1, piece.text);
    writer.number(2, piece.score);
    writer.integer(3, static_cast<int>(piece.type));
    message.text(1, writer.bytes());
  }
  trainer.integer(3, model.model_type);
  trainer.integer(35, model.byte_fallback ? 1 : 0);
  trainer.integer(40, model.unk_id);
  trainer.integer(41, model.bos_id);
  trainer.integer(42, model.eos_id);
  trainer.integer(43, model.pad_id);
  message.text(2, trainer.bytes());
  if (!vocabulary.charsmap.empty()) normalizer.text(2, vocabulary.charsmap);
  normalizer.integer(3, model.normalization.add_dummy_prefix ? 1 : 0);
  normalizer.integer(4, model.normalization.remove_extra_whitespaces ? 1 : 0);
  normalizer.integer(5, 1);
  message.text(3, normalizer.bytes());
  return message.bytes();
}

bool is_special(PieceType type) {
  return type == PieceType::kControl || type == PieceType::kUnknown;
}

bool is_added(PieceType type) {
  return type == PieceType::kControl || type == PieceType::kUserDefined;
}

SortedJson added_token(const GgmlVocabulary& vocabulary, std::size_t id) {
  return {{"content", vocabulary.tokens[id]},
          {"single_word", false},
          {"lstrip", false},
          {"rstrip", false},
          {"normalized", false},
          {"special", is_special(piece_type(vocabulary, id))}};
}

// Puts the beginning-of-sequence token in front of every text, the end behind it.
SortedJson post_processor(const GgmlVocabulary& vocabulary, bool adds_bos, bool adds_eos) {
  SortedJson single = SortedJson::array(), pair = SortedJson::array(), specials = SortedJson::object();
  const auto add_special = [&](const char* role, bool wanted, int type_id) {
    const auto found = vocabulary.roles.find(role);
    if (!wanted || found == vocabulary.roles.end()) return;
    const std::string& token = vocabulary.tokens[static_cast<std::size_t>(found->second)];
    const SortedJson special = {{"SpecialToken", {{"id", token}, {"type_id", type_id}}}};
    pair.push_back(special);
    if (type_id == 0) single.push_back(special);
    specials[token] = {
        {"id", token}, {"ids", SortedJson::array({found->second})}, {"tokens", SortedJson::array({token})}};
  };
  const auto add_text = [](SortedJson& steps, const char* id, int type_id) {
    steps.push_back({{"Sequence", {{"id", id}, {"type_id", type_id}}}});
  };
  add_special("bos_token", adds_bos, 0);
  add_text(single, "A", 0);
  add_text(pair, "A", 0);
  add_special("eos_token", adds_eos, 0);
  add_special("bos_token", adds_bos, 1);
  add_text(pair, "B", 1);
  add_special("eos_token", adds_eos, 1);
  if (specials.empty()) return nullptr;
  return {{"type", "TemplateProcessing"},
          {"single", std::move(single)},
          {"pair", std::move(pair)},
          {"special_tokens", std::move(specials)}};
}

std::string tokenizer_json(const GgmlVocabulary& vocabulary) {
  const GgmlPreTokenizer pre = require_ggml_pre_tokenizer(vocabulary);
  SortedJson vocab = SortedJson::object(), added = SortedJson::array();
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const PieceType type = piece_type(vocabulary, id);
    if (type == PieceType::kUnused) continue;
    vocab.emplace(vocabulary.tokens[id], id);
    if (!is_added(type)) continue;
    added.push_back(added_token(vocabulary, id));
    added.back()["id"] = id;
  }
  const SortedJson normalizer = pre.composes ? SortedJson{{"type", "NFC"}} : SortedJson();
  const SortedJson document = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", std::move(added)},
      {"normalizer", normalizer},
      {"pre_tokenizer", SortedJson(pre.pre_tokenizer)},
      {"post_processor", post_processor(vocabulary, vocabulary.add_bos.value_or(pre.adds_bos),
                                        vocabulary.add_eos.value_or(false))},
      {"decoder",
       {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"ignore_merges", pre.ignore_merges},
        {"vocab", std::move(vocab)},
        {"merges", vocabulary.merges}}}};
  return document.dump(1) + "\n";
}

// With tokenizer.json the class reads it as it stands; the classes of families rebuild parts of it. A
// tokenizer.model is left to the class of the model's family.
std::string tokenizer_config(const GgmlVocabulary& vocabulary, bool has_json) {
  SortedJson config = {{"clean_up_tokenization_spaces", false}};
  if (has_json) config["tokenizer_class"] = "PreTrainedTokenizerFast";
  for (const auto& [role, id] : vocabulary.roles)
    config[role] = vocabulary.tokens[static_cast<std::size_t>(id)];
  if (!has_json) {
    config["add_bos_token"] = vocabulary.add_bos.value_or(vocabulary.model == "llama");
    config["add_eos_token"] = vocabulary.add_eos.value_or(vocabulary.model != "llama");
    for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
      if (is_special(piece_type(vocabulary, id)) || is_added(piece_type(vocabulary, id)))
        config["added_tokens_decoder"][std::to_string(id)] = added_token(vocabulary, id);
    }
  }
  return config.dump(2) + "\n";
}

}  // namespace

std::map<std::string, std::string> tokenizer_files(const GgmlVocabulary& vocabulary) {
  make_tokenizer(vocabulary);  // refuses what contradicts itself
  std::map<std::string, std::string> files;
  if (!vocabulary.hugging_face.empty())
    files["tokenizer.json"] = vocabulary.hugging_face;
  else if (vocabulary.model == "gpt2")
    files["tokenizer.json"] = tokenizer_json(vocabulary);
  else
    files["tokenizer.model"] = tokenizer_model(vocabulary);
  files["tokenizer_config.json"] = tokenizer_config(vocabulary, files.contains("tokenizer.json"));
  return files;
}

}  // namespace farthing::tokenizer
