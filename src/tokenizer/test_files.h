// For the tests of this folder: temporary folders, small tokenizer files, and expected errors.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "tokenizer/tokenizer.h"

namespace farthing::tokenizer {

using Ids = std::vector<std::int32_t>;

/// A folder that goes away with the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    static int count = 0;
    path_ =
        std::filesystem::temp_directory_path() / fmt::format("farthing_tokenizer_{}_{}", ::getpid(), ++count);
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  void write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
  }

 private:
  std::filesystem::path path_;
};

/// Opens a tokenizer of one file, and a configuration if it is not empty.
inline Tokenizer open_files(const std::string& name, std::string_view content, std::string_view config = "") {
  const TemporaryFolder folder;
  folder.write(name, content);
  if (!config.empty()) folder.write("tokenizer_config.json", config);
  return Tokenizer::open(folder.path());
}

inline Tokenizer open_json(const Json& tokenizer, std::string_view config = "") {
  return open_files("tokenizer.json", tokenizer.dump(), config);
}

/// A tokenizer.json whose vocabulary is every one of `tokens`, numbered from zero, and no merges.
inline Json character_tokenizer(const std::vector<std::string>& tokens) {
  Json vocab = Json::object();
  for (const std::string& token : tokens) vocab[token] = vocab.size();
  return {{"version", "1.0"},
          {"added_tokens", Json::array()},
          {"normalizer", nullptr},
          {"pre_tokenizer", nullptr},
          {"post_processor", nullptr},
          {"decoder", {{"type", "Fuse"}}},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", Json::array()}}}};
}

inline Json added_token(std::int64_t id, const std::string& content, bool special, bool normalized = false) {
  return {{"id", id}, {"content", content}, {"special", special}, {"normalized", normalized}};
}

/// The ids of the text alone.
inline Ids encode_plain(const Tokenizer& tokenizer, std::string_view text) {
  EncodeOptions options;
  options.add_special_tokens = false;
  return tokenizer.encode(text, options);
}

/// The tokens of the text alone, in the spelling of the vocabulary.
inline std::vector<std::string> tokens_of(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<std::string> tokens;
  for (const std::int32_t id : encode_plain(tokenizer, text))
    tokens.push_back(tokenizer.token(id).value_or("?"));
  return tokens;
}

/// Calls `work` and checks that it throws an Error of `code` that says `text` somewhere.
template <typename Work>
void expect_error(Code code, std::string_view text, Work&& work) {
  try {
    work();
    ADD_FAILURE() << "no error; expected one with '" << text << "'";
  } catch (const Error& error) {
    EXPECT_EQ(code_name(error.code()), code_name(code)) << error.what();
    EXPECT_NE(std::string_view(error.what()).find(text), std::string_view::npos) << error.what();
  }
}

}  // namespace farthing::tokenizer
