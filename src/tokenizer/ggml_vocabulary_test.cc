// A tokenizer written as llama.cpp's arrays and read again gives the same ids.
#include "tokenizer/ggml_vocabulary.h"

#include <cstdlib>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace farthing::tokenizer {
namespace {

namespace fs = std::filesystem;

const fs::path kDemo = fs::path(FARTHING_SOURCE_DIR) / "models" / "tiny-llava-21m";

void expect_same_ids(const Tokenizer& a, const Tokenizer& b, const std::string& text) {
  EXPECT_EQ(a.encode(text), b.encode(text)) << text.substr(0, 200);
  const auto ids = a.encode(text);
  const DecodeOptions plain{.clean_up_tokenization_spaces =
                                false};  // a wish of the config, which GGUF cannot say
  EXPECT_EQ(a.decode(ids, plain), b.decode(ids, plain)) << text.substr(0, 200);
}

const char* const kTexts[] = {"Hello world", "What animal is this?\n\nA kitten, 2024!", "",
                              " leading  spaces ",
                              "caf\xC3\xA9 na\xC3\xAFve \xE6\x97\xA5\xE6\x9C\xAC 12345 don't"};

// A folder with the files that a vocabulary is written as.
class FilesOf {
 public:
  explicit FilesOf(const GgmlVocabulary& vocabulary) {
    static int count = 0;
    folder_ = fs::path(testing::TempDir()) / fmt::format("ggml-files-{}-{}", ::getpid(), count++);
    fs::create_directories(folder_);
    for (const auto& [name, text] : tokenizer_files(vocabulary)) write_text_atomically(folder_ / name, text);
  }
  ~FilesOf() { fs::remove_all(folder_); }
  const fs::path& folder() const { return folder_; }

 private:
  fs::path folder_;
};

TEST(GgmlVocabulary, TheDemoComesBack) {
  const Tokenizer original = Tokenizer::open(kDemo);
  const GgmlVocabulary vocabulary = read_ggml_vocabulary(kDemo, original.vocab_size() + 3);
  EXPECT_EQ(vocabulary.tokens.size(), static_cast<std::size_t>(original.vocab_size() + 3));
  EXPECT_EQ(vocabulary.types.back(), 5);
  const Tokenizer back = make_tokenizer(vocabulary);
  const FilesOf files(vocabulary);
  const Tokenizer reopened = Tokenizer::open(files.folder());
  for (const char* text : kTexts) {
    expect_same_ids(original, back, text);
    expect_same_ids(original, reopened, text);
  }
  EXPECT_EQ(original.special_token("eos_token"), back.special_token("eos_token"));
}

TEST(GgmlVocabulary, BytesBecomeTokenizerJson) {
  GgmlVocabulary vocabulary = {.model = "gpt2",
                               .pre = "smollm",
                               .tokens = {"<s>", "a", "b", "ab"},
                               .types = {3, 1, 1, 1},
                               .merges = {"a b"},
                               .roles = {{"bos_token", 0}, {"eos_token", 0}}};
  Json tokenizer = parse_json(tokenizer_files(vocabulary).at("tokenizer.json"), "tokenizer.json");
  EXPECT_EQ(tokenizer["model"]["vocab"]["ab"], 3);
  EXPECT_EQ(tokenizer["model"]["merges"], Json::array({"a b"}));
  EXPECT_EQ(tokenizer["pre_tokenizer"]["pretokenizers"][0]["type"], "Digits");
  EXPECT_EQ(tokenizer["added_tokens"][0]["content"], "<s>");
  EXPECT_EQ(tokenizer["added_tokens"][0]["special"], true);
  EXPECT_TRUE(tokenizer["post_processor"].is_null());
  EXPECT_EQ(parse_json(tokenizer_files(vocabulary).at("tokenizer_config.json"), "")["eos_token"], "<s>");
  vocabulary.pre = "llama-bpe";
  tokenizer = parse_json(tokenizer_files(vocabulary).at("tokenizer.json"), "tokenizer.json");
  EXPECT_EQ(tokenizer["post_processor"]["special_tokens"]["<s>"]["ids"], Json::array({0}));
  EXPECT_EQ(tokenizer["model"]["ignore_merges"], true);
  EXPECT_THAT(tokenizer["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"].get<std::string>(),
              testing::HasSubstr("\\p{N}{1,3}|"));
}

TEST(GgmlVocabulary, PiecesBecomeATokenizerModel) {
  const GgmlVocabulary vocabulary = {.model = "llama",
                                     .tokens = {"<unk>", "<s>", "</s>", "<0x0A>", "\xE2\x96\x81", "a", "b",
                                                "ab", std::string("\xE2\x96\x81") + "ab", "<turn>"},
                                     .scores = {0, 0, 0, 0, -1, -2, -3, -4, -5, 0},
                                     .types = {2, 3, 3, 6, 1, 1, 1, 1, 1, 4},
                                     .roles = {{"unk_token", 0}, {"bos_token", 1}, {"eos_token", 2}},
                                     .add_space_prefix = false};
  const FilesOf files(vocabulary);
  EXPECT_TRUE(fs::exists(files.folder() / "tokenizer.model"));
  const Tokenizer direct = make_tokenizer(vocabulary), reopened = Tokenizer::open(files.folder());
  for (const char* text : {"ab ab", "b\na", "<turn>ab<turn> a", "</s>a", " a", "c"})
    expect_same_ids(direct, reopened, text);
}

TEST(GgmlVocabulary, ArraysThatDoNotFitAreRefused) {
  const auto problem = [](auto change) {
    GgmlVocabulary vocabulary = {
        .model = "llama", .tokens = {"<unk>", "a"}, .scores = {0, 0}, .types = {2, 1}};
    change(vocabulary);
    try {
      make_tokenizer(vocabulary);
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  using testing::HasSubstr;
  EXPECT_EQ(problem([](GgmlVocabulary&) {}), "");
  EXPECT_THAT(problem([](GgmlVocabulary& v) { v.tokens.clear(); }), HasSubstr("no tokens"));
  EXPECT_THAT(problem([](GgmlVocabulary& v) { v.scores.pop_back(); }), HasSubstr("scores"));
  EXPECT_THAT(problem([](GgmlVocabulary& v) { v.types.push_back(1); }), HasSubstr("types"));
  EXPECT_THAT(problem([](GgmlVocabulary& v) { v.roles["bos_token"] = 7; }), HasSubstr("bos_token"));
  EXPECT_THAT(problem([](GgmlVocabulary& v) { v.model = "rwkv"; }), HasSubstr("kind"));
  EXPECT_THAT(problem([](GgmlVocabulary& v) { v.scores[0] = std::nanf(""); }), HasSubstr("finite"));
  EXPECT_THAT(problem([](GgmlVocabulary& v) {
                v.model = "gpt2";
                v.pre = "unheard-of";
              }),
              HasSubstr("pre-tokenizer"));
  EXPECT_THAT(problem([](GgmlVocabulary& v) {
                v.model = "gpt2";
                v.merges = {"no space?"};
              }),
              testing::Not(testing::IsEmpty()));
}

// Real tokenizers of each kind, over their own test inputs.
TEST(GgmlVocabulary, RealTokenizersComeBack) {
  const char* fixtures = std::getenv("FARTHING_FIXTURES");
  if (fixtures == nullptr) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  const fs::path folder = fs::path(fixtures) / "tokenizers";
  const std::string mixed = read_text(folder / "mixed_input.txt");
  for (const char* name : {"llama2", "llama3", "qwen3", "smollm2", "gpt2", "opt"}) {
    SCOPED_TRACE(name);
    const Tokenizer original = Tokenizer::open(folder / name);
    const Tokenizer back = make_tokenizer(read_ggml_vocabulary(folder / name, 0));
    const FilesOf files(read_ggml_vocabulary(folder / name, 0));
    const Tokenizer reopened = Tokenizer::open(files.folder());
    for (const char* text : kTexts) {
      expect_same_ids(original, back, text);
      expect_same_ids(original, reopened, text);
    }
    for (std::size_t begin = 0; begin < mixed.size();) {
      const std::size_t end = std::min(mixed.find('\n', begin), mixed.size());
      expect_same_ids(original, back, mixed.substr(begin, end - begin));
      expect_same_ids(original, reopened, mixed.substr(begin, end - begin));
      begin = end + 1;
    }
  }
}

}  // namespace
}  // namespace farthing::tokenizer
