#include "models/tokenizer_files.h"

#include "base/directory.h"
#include "base/error.h"
#include "checkpoint/gguf/gguf.h"

namespace farthing::models {
namespace {

namespace fs = std::filesystem;

bool is_folder(const fs::path& path) {
  std::error_code absent;
  return fs::is_directory(path, absent);
}

// The GGUF file that `model` is, or that is alone in the folder; nothing for other models.
std::optional<fs::path> gguf_file(const fs::path& model) {
  if (!is_folder(model)) return model.extension() == ".gguf" ? std::optional(model) : std::nullopt;
  std::optional<fs::path> found;
  for (const std::string& name : list_files(model)) {
    if (name == "config.json" || name.starts_with("tokenizer")) return std::nullopt;
    if (name.ends_with(".gguf") && !name.starts_with("mmproj") && !found) found = model / name;
  }
  return found;
}

// Values of the metadata; what is absent or of another type counts as absent, and make_tokenizer looks at the
// rest.
class Values {
 public:
  explicit Values(const Json& metadata) : metadata_(metadata) {}

  template <typename T>
  std::optional<T> find(std::string_view key) const {
    const auto found = metadata_.find(key);
    if (found == metadata_.end()) return std::nullopt;
    return read<T>(*found);
  }

  template <typename T>
  std::vector<T> list(std::string_view key) const {
    std::vector<T> values;
    const auto found = metadata_.find(key);
    if (found == metadata_.end() || !found->is_array()) return values;
    for (const Json& one : *found) {
      const auto value = read<T>(one);
      FARTHING_REQUIRE(value, Code::kCorruptData, "an array of the metadata has elements of a wrong type",
                       {{"key", key}}, "fetch the file again");
      values.push_back(*value);
    }
    return values;
  }

 private:
  template <typename T>
  static std::optional<T> read(const Json& value) {
    const bool fits = std::is_same_v<T, std::string> ? value.is_string()
                      : std::is_same_v<T, bool>      ? value.is_boolean()
                                                     : value.is_number();
    return fits ? std::optional(value.get<T>()) : std::nullopt;
  }

  const Json& metadata_;
};

tokenizer::GgmlVocabulary read_vocabulary(const Json& metadata) {
  const Values values(metadata);
  const auto key = [](std::string_view name) { return fmt::format("tokenizer.ggml.{}", name); };
  tokenizer::GgmlVocabulary vocabulary;
  vocabulary.model = values.find<std::string>(key("model")).value_or("");
  vocabulary.pre = values.find<std::string>(key("pre")).value_or("");
  vocabulary.tokens = values.list<std::string>(key("tokens"));
  vocabulary.scores = values.list<float>(key("scores"));
  vocabulary.types = values.list<std::int32_t>(key("token_type"));
  vocabulary.merges = values.list<std::string>(key("merges"));
  for (const auto& [role, name] : {std::pair{"bos_token", "bos_token_id"},
                                   {"eos_token", "eos_token_id"},
                                   {"unk_token", "unknown_token_id"},
                                   {"pad_token", "padding_token_id"}}) {
    if (const auto id = values.find<std::int32_t>(key(name))) vocabulary.roles.emplace(role, *id);
  }
  vocabulary.add_bos = values.find<bool>(key("add_bos_token"));
  vocabulary.add_eos = values.find<bool>(key("add_eos_token"));
  vocabulary.add_space_prefix = values.find<bool>(key("add_space_prefix"));
  vocabulary.remove_extra_whitespaces = values.find<bool>(key("remove_extra_whitespaces"));
  for (const std::int32_t byte : values.list<std::int32_t>(key("precompiled_charsmap")))
    vocabulary.charsmap.push_back(static_cast<char>(byte));
  vocabulary.hugging_face = values.find<std::string>("tokenizer.huggingface.json").value_or("");
  return vocabulary;
}

tokenizer::GgmlVocabulary own_vocabulary(const fs::path& file, const Json& metadata) {
  FARTHING_REQUIRE(metadata.contains("tokenizer.ggml.tokens"), Code::kNotFound,
                   "no tokenizer in this GGUF file", {{"file", file.string()}},
                   "lay the tokenizer files of the original checkpoint beside it");
  return read_vocabulary(metadata);
}

bool has_tokenizer_files(const fs::path& folder) {
  return path_exists(folder / "tokenizer.json") || path_exists(folder / "tokenizer.model") ||
         path_exists(folder / "vocab.json");
}

}  // namespace

fs::path folder_of(const fs::path& model) {
  return is_folder(model) ? model : fs::absolute(model).parent_path();
}

fs::path home_of(const checkpoint::Checkpoint& checkpoint) {
  const fs::path& first = checkpoint.files().front();
  return first.extension() == ".gguf" ? first : checkpoint.directory();
}

std::string name_of(const fs::path& model) {
  const fs::path plain = fs::weakly_canonical(model);
  return (is_folder(model) ? plain.filename() : plain.stem()).string();
}

tokenizer::Tokenizer open_tokenizer(const fs::path& model) {
  const auto file = gguf_file(model);
  if (!file) return tokenizer::Tokenizer::open(folder_of(model));
  try {
    return tokenizer::make_tokenizer(own_vocabulary(*file, checkpoint::gguf::read_metadata(*file)));
  } catch (const Error& error) {
    const bool beside = error.code() != Code::kInternal && has_tokenizer_files(folder_of(model));
    if (beside) return tokenizer::Tokenizer::open(folder_of(model));
    std::vector<Field> fields = error.fields();
    fields.emplace_back("file", file->string());
    throw Error(error.code(), error.message(), std::move(fields), error.hint());
  }
}

tokenizer::GgmlVocabulary ggml_vocabulary(const fs::path& model, std::int64_t size) {
  const auto file = gguf_file(model);
  if (!file) return tokenizer::read_ggml_vocabulary(folder_of(model), size);
  return own_vocabulary(*file, checkpoint::gguf::read_metadata(*file));
}

std::map<std::string, std::string> tokenizer_files(const fs::path& gguf_file) {
  const Json metadata = checkpoint::gguf::read_metadata(gguf_file);
  auto files = tokenizer::tokenizer_files(own_vocabulary(gguf_file, metadata));
  if (auto text = Values(metadata).find<std::string>("tokenizer.chat_template"))
    files["chat_template.jinja"] = std::move(*text);
  return files;
}

std::optional<tokenizer::ChatTemplate> open_chat_template(const fs::path& model, std::string_view name) {
  if (const auto file = gguf_file(model)) {
    const Json metadata = checkpoint::gguf::read_metadata(*file);
    const std::string key =
        name == "default" ? "tokenizer.chat_template" : fmt::format("tokenizer.chat_template.{}", name);
    for (const std::string_view wanted :
         {std::string_view(key), std::string_view("tokenizer.chat_template")}) {
      if (const auto text = Values(metadata).find<std::string>(wanted))
        return tokenizer::ChatTemplate(*text, file->string());
    }
  }
  return tokenizer::ChatTemplate::open(folder_of(model), name);
}

}  // namespace farthing::models
