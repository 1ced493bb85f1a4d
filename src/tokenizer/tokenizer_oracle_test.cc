// Ids that the reference programs give, for real tokenizers and for the fixtures. The large oracles are found
// by the environment variable FARTHING_FIXTURES.
#include <cstring>

#include <gtest/gtest.h>

#include "base/file.h"
#include "tokenizer/test_files.h"

namespace farthing::tokenizer {
namespace {

const std::filesystem::path kSource(FARTHING_SOURCE_DIR);

/// The folder of the oracles, or nothing.
std::optional<std::filesystem::path> oracles() {
  const char* folder = std::getenv("FARTHING_FIXTURES");
  return folder == nullptr ? std::nullopt : std::optional<std::filesystem::path>(folder);
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

Ids parse_ids(const std::string& text) {
  Ids ids;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] < '0' || text[i] > '9') {
      ++i;
      continue;
    }
    std::size_t length = 0;
    ids.push_back(std::stoi(text.substr(i, 12), &length));
    i += length;
  }
  return ids;
}

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t i = text.find(from); i != std::string::npos; i = text.find(from, i + to.size())) {
    text.replace(i, from.size(), to);
  }
  return text;
}

/// The integers of a tensor in a safetensors file.
Ids read_ids(const std::filesystem::path& file, const std::string& name) {
  const std::string bytes = read_text(file);
  std::uint64_t header_size = 0;
  std::memcpy(&header_size, bytes.data(), 8);
  const Json entry = Json::parse(bytes.substr(8, header_size)).at(name);
  EXPECT_EQ(entry.at("dtype"), "I64");
  const auto begin = entry.at("data_offsets")[0].get<std::size_t>();
  const auto end = entry.at("data_offsets")[1].get<std::size_t>();
  std::vector<std::int64_t> values((end - begin) / 8);
  std::memcpy(values.data(), bytes.data() + 8 + header_size + begin, end - begin);
  return Ids(values.begin(), values.end());
}

// What decoding gives back. SentencePiece tokenizers add or take a space beside special tokens and at the
// start; those that compose characters change letters too.
enum class RoundTrip { kExact, kButSpaces, kNone };

/// Checks one text: ids, the text back, and the text in a stream.
void check(const Tokenizer& tokenizer, const std::string& text, const Ids& expected, RoundTrip round_trip) {
  const Ids ids = encode_plain(tokenizer, text);
  ASSERT_EQ(ids, expected) << text.substr(0, 200);
  const DecodeOptions everything{.skip_special_tokens = false, .clean_up_tokenization_spaces = false};
  const std::string decoded = tokenizer.decode(ids, everything);
  if (round_trip == RoundTrip::kExact) {
    EXPECT_EQ(decoded, text);
  } else if (round_trip == RoundTrip::kButSpaces) {
    const auto without_spaces = [](const std::string& spaced) {
      return replace_all(replace_all(spaced, "\xE2\x96\x81", ""), " ", "");
    };
    EXPECT_EQ(without_spaces(decoded), without_spaces(text));
  }
  StreamDecoder stream(tokenizer, everything);
  std::string streamed;
  for (const std::int32_t id : ids) streamed += stream.push(id);
  EXPECT_EQ(streamed + stream.finish(), decoded);
}

void check_folder(const Tokenizer& tokenizer, const std::filesystem::path& inputs,
                  const std::filesystem::path& expected, RoundTrip round_trip) {
  for (const char* kind : {"small", "mixed"}) {
    const auto texts = lines_of(read_text(inputs / (std::string(kind) + "_input.txt")));
    const auto ids = lines_of(read_text(expected / (std::string(kind) + "_tokens.txt")));
    ASSERT_EQ(texts.size(), ids.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const bool escaped = kind == std::string("small");
      const std::string text =
          escaped ? replace_all(replace_all(texts[i], "\\n", "\n"), "\\s", " ") : texts[i];
      check(tokenizer, text, parse_ids(ids[i]), round_trip);
    }
  }
  check(tokenizer, read_text(inputs / "utf8_input.txt"), parse_ids(read_text(expected / "utf8_tokens.txt")),
        round_trip);
}

class RealTokenizers : public testing::TestWithParam<const char*> {};

TEST_P(RealTokenizers, GiveTheIdsOfTheReference) {
  if (!oracles()) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  const std::filesystem::path folder = *oracles() / "tokenizers" / GetParam();
  const std::string name = GetParam();
  const bool composes = name == "gpt_neox" || name == "qwen3",
             adds_spaces = name == "llama2" || name == "mistral01";
  check_folder(Tokenizer::open(folder), folder.parent_path(), folder,
               composes      ? RoundTrip::kNone
               : adds_spaces ? RoundTrip::kButSpaces
                             : RoundTrip::kExact);
}

INSTANTIATE_TEST_SUITE_P(All, RealTokenizers,
                         testing::Values("gpt2", "gpt_neox", "llama2", "llama3", "mistral01", "opt", "qwen3",
                                         "smollm2"),
                         [](const auto& info) { return std::string(info.param); });

class RealSentencePieceModels : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(RealSentencePieceModels, GiveTheIdsOfTheReference) {
  if (!oracles()) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  const auto [name, config] = GetParam();
  const std::filesystem::path folder = *oracles() / "tokenizers" / name;
  const Tokenizer tokenizer = open_files("tokenizer.model", read_text(folder / "tokenizer.model"), config);
  check_folder(tokenizer, folder.parent_path(), folder, RoundTrip::kButSpaces);
}

INSTANTIATE_TEST_SUITE_P(All, RealSentencePieceModels,
                         testing::Values(std::pair("llama2", "{}"),
                                         std::pair("mistral01", R"({"legacy": false})")),
                         [](const auto& info) { return std::string(info.param.first); });

TEST(VocabAndMergesOracle, QwenAndOptFromTheirTwoFiles) {
  if (!oracles()) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  const std::pair<const char*, const char*> cases[] = {
      {"opt",
       R"({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true, "bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"})"},
      {"gpt2", "{}"}};
  for (const auto& [name, config] : cases) {
    const std::filesystem::path folder = *oracles() / "tokenizers" / name;
    const auto json = nlohmann::json::parse(read_text(folder / "tokenizer.json"));
    std::string merges = "#version: 0.2\n";
    for (const auto& merge : json["model"]["merges"]) {
      merges += (merge.is_string() ? merge.get<std::string>()
                                   : merge[0].get<std::string>() + " " + merge[1].get<std::string>()) +
                "\n";
    }
    const TemporaryFolder two_files;
    two_files.write("vocab.json", json["model"]["vocab"].dump());
    two_files.write("merges.txt", merges);
    two_files.write("tokenizer_config.json", config);
    check_folder(Tokenizer::open(two_files.path()), folder.parent_path(), folder, RoundTrip::kExact);
  }
}

/// Encodes the prompts of a family fixture. Its processor repeats the placeholders of pictures, so the
/// expected ids are compared without the repetitions and what stands between them.
void check_prompts(const std::filesystem::path& folder) {
  const Tokenizer tokenizer = Tokenizer::open(folder);
  const Json fixture = Json::parse(read_text(folder / "case.json"));
  for (const auto& [name, prompt] : fixture.at("prompts").items()) {
    EncodeOptions options;
    options.add_special_tokens = fixture.at("family") != "mllama";
    const Ids ids = tokenizer.encode(prompt.get<std::string>(), options);
    const Ids expected = read_ids(folder / "expected.safetensors", name + ".input_ids");
    // Ours is a subsequence of theirs, equal outside the stretches that hold special tokens only.
    std::size_t next = 0;
    for (const std::int32_t id : expected) {
      if (next < ids.size() && ids[next] == id) {
        ++next;
      } else {
        EXPECT_TRUE(tokenizer.is_special(id) || tokenizer.token(id) == "\xC4\x8A")
            << folder << " " << name << " " << id;
      }
    }
    EXPECT_EQ(next, ids.size()) << folder << " " << name;
    EXPECT_EQ(tokenizer.encode(tokenizer.decode(ids, {.skip_special_tokens = false}),
                               {.add_special_tokens = false}),
              ids);
  }
}

TEST(FamilyFixtures, BundledPrompts) {
  check_prompts(kSource / "tests/data/families/llava");
}

TEST(FamilyFixtures, AllPrompts) {
  if (!oracles()) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(*oracles() / "fixtures" / "families")) {
    if (!std::filesystem::exists(entry.path() / "tokenizer.json")) continue;
    check_prompts(entry.path());
    ++count;
  }
  EXPECT_GE(count, 11);
}

TEST(DemoModel, WikiText) {
  if (!oracles()) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  const Tokenizer tokenizer = Tokenizer::open(kSource / "models/tiny-llava-21m");
  const Ids expected = read_ids(*oracles() / "fixtures/tiny-llava-21m/expected.safetensors", "ppl.input_ids");
  Ids ids = tokenizer.encode(read_text(*oracles() / "data/text/wikitext2-test-joined.txt"));
  ASSERT_GT(ids.size(), expected.size());
  ids.resize(expected.size());
  EXPECT_EQ(ids, expected);
}

}  // namespace
}  // namespace farthing::tokenizer
