#include <cstring>

#include <gtest/gtest.h>

#include "tokenizer/normalizer.h"
#include "tokenizer/test_files.h"

namespace farthing::tokenizer {
namespace {

NormalizedText normalize(const Json& description, std::string text) {
  NormalizedText result{std::move(text)};
  make_normalizer(description)->apply(result);
  return result;
}

std::string normalized(const Json& description, std::string text) {
  return normalize(description, std::move(text)).text;
}

TEST(Normalizers, UnicodeForms) {
  EXPECT_EQ(normalized({{"type", "NFC"}}, "e\xCC\x81"), "\xC3\xA9");
  EXPECT_EQ(normalized({{"type", "NFD"}}, "\xC3\xA9"), "e\xCC\x81");
  EXPECT_EQ(normalized({{"type", "NFKC"}}, "\xEF\xBC\xA1"), "A");
  EXPECT_EQ(normalized({{"type", "NFKD"}}, "\xEF\xAC\x81"), "fi");
}

TEST(Normalizers, LowercaseAndAccents) {
  EXPECT_EQ(normalized({{"type", "Lowercase"}}, "\xCE\xA3\xCE\x91\xCE\xA3 I"), "\xCF\x83\xCE\xB1\xCF\x83 i");
  EXPECT_EQ(normalized({{"type", "StripAccents"}}, "e\xCC\x81\xE0\xA4\x83\xC3\xA9"), "e\xC3\xA9");
}

TEST(Normalizers, Strip) {
  const Json both = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}};
  EXPECT_EQ(normalized(both, " \xE3\x80\x80 a b\n"), "a b");
  EXPECT_EQ(normalized(both, "  "), "");
  EXPECT_EQ(normalized({{"type", "Strip"}, {"strip_left", false}, {"strip_right", true}}, " a "), " a");
  EXPECT_FALSE(normalize(both, " a").at_start);
  EXPECT_TRUE(normalize(both, "a ").at_start);
}

TEST(Normalizers, PrependAndReplace) {
  EXPECT_EQ(normalized({{"type", "Prepend"}, {"prepend", "_"}}, "a"), "_a");
  EXPECT_EQ(normalized({{"type", "Prepend"}, {"prepend", "_"}}, ""), "");
  const auto replace = [](const char* kind, const char* pattern, const char* content) {
    return Json{{"type", "Replace"}, {"pattern", {{kind, pattern}}}, {"content", content}};
  };
  EXPECT_EQ(normalized(replace("String", ".", "!"), "a.b.."), "a!b!!");
  EXPECT_EQ(normalized(replace("Regex", " {2,}", " "), "a   b c"), "a b c");
  EXPECT_FALSE(normalize(replace("String", "a", ""), "ab").at_start);
  EXPECT_FALSE(normalize(replace("String", "ab", "x"), "abc").at_start);
  EXPECT_TRUE(normalize(replace("String", "a", "x"), "abc").at_start);
  EXPECT_TRUE(normalize(replace("String", "b", ""), "abc").at_start);
}

TEST(Normalizers, Nmt) {
  EXPECT_EQ(normalized({{"type", "Nmt"}},
                       "a\x01\x7F\t\xE2\x80\x8D\xE2\x96\x81\xEF\xBB\xBF"
                       "b"),
            "a    b");
}

TEST(Normalizers, Bert) {
  const auto bert = [](bool clean, bool chinese, Json accents, bool lowercase) {
    return Json{{"type", "BertNormalizer"},
                {"clean_text", clean},
                {"handle_chinese_chars", chinese},
                {"strip_accents", std::move(accents)},
                {"lowercase", lowercase}};
  };
  EXPECT_EQ(normalized(bert(true, false, false, false), std::string("a\0\xEF\xBF\xBD\xC2\xA0\t\xE2\x80\x8B"
                                                                    "B",
                                                                    12)),
            "a  B");
  EXPECT_EQ(normalized(bert(false, true, false, false),
                       "a\xE4\xB8\x96"
                       "b"),
            "a \xE4\xB8\x96 b");
  EXPECT_EQ(normalized(bert(false, false, nullptr, true), "\xC3\x89t\xC3\xA9"), "ete");  // follows lowercase
  EXPECT_EQ(normalized(bert(false, false, nullptr, false), "\xC3\x89"), "\xC3\x89");
  EXPECT_EQ(normalized(bert(false, false, true, false), "\xC3\x89\xE0\xA4\x83"), "E\xE0\xA4\x83");
}

TEST(Normalizers, ByteLevelAndSequence) {
  EXPECT_EQ(normalized({{"type", "ByteLevel"}}, "a \xC3\xA9"), "a\xC4\xA0\xC3\x83\xC2\xA9");
  const Json sequence = {{"type", "Sequence"},
                         {"normalizers", {{{"type", "Lowercase"}}, {{"type", "Prepend"}, {"prepend", ">"}}}}};
  EXPECT_EQ(normalized(sequence, "AB"), ">ab");
  EXPECT_EQ(make_normalizer(nullptr), nullptr);
}

/// A character map in the compiled form, with one key of two bytes: a trie of nodes root -> first -> second
/// -> value.
std::string charsmap_of_two_bytes(unsigned char first, unsigned char second, std::string_view replacement) {
  std::vector<std::uint32_t> units(2048, 0);
  const auto offset = [](std::uint32_t value) { return value << 10; };
  units[0] = offset(512);                                     // root: children at 512 ^ byte
  units[512 ^ first] = offset(1024 ^ (512 ^ first)) | first;  // its children at 1024 ^ byte
  const std::uint32_t node = 1024 ^ second;
  units[node] = offset(1536 ^ node) | 1u << 8 | second;  // a key ends here, value at 1536
  units[1536] = 0 | 1u << 31;                            // replacement number of bytes 0
  const auto trie_size = static_cast<std::uint32_t>(units.size() * 4);
  std::string binary(reinterpret_cast<const char*>(&trie_size), 4);
  binary.append(reinterpret_cast<const char*>(units.data()), trie_size);
  binary += replacement;
  binary += '\0';
  return binary;
}

TEST(PrecompiledCharsmap, ReplacesItsKeys) {
  const PrecompiledCharsmap map(charsmap_of_two_bytes(0xC3, 0xA9, "e"));
  const auto match = map.longest_prefix("\xC3\xA9t\xC3\xA9");
  ASSERT_TRUE(match.has_value());
  EXPECT_EQ(match->length, 2u);
  EXPECT_EQ(match->replacement, "e");
  EXPECT_FALSE(map.shortest_prefix("\xC3\xA8").has_value());
  EXPECT_FALSE(map.shortest_prefix("").has_value());
}

TEST(PrecompiledCharsmap, HostileBinariesAreRejectedOrHarmless) {
  expect_error(Code::kCorruptData, "impossible sizes", [] { PrecompiledCharsmap("abc"); });
  expect_error(Code::kCorruptData, "impossible sizes",
               [] { PrecompiledCharsmap(std::string("\xFF\xFF\xFF\x7F....", 8)); });
  expect_error(Code::kCorruptData, "impossible sizes",
               [] { PrecompiledCharsmap(std::string("\0\0\0\0", 4)); });
  std::string binary = charsmap_of_two_bytes(0xC3, 0xA9, "e");
  for (std::size_t i = 4; i < 4 + 8192; ++i) {
    std::string broken = binary;
    broken[i] = static_cast<char>(~broken[i]);
    const PrecompiledCharsmap map(broken);
    map.longest_prefix("\xC3\xA9");
    map.shortest_prefix("zzzz");
  }
}

TEST(Normalizers, PrecompiledWorksOnGraphemes) {
  // The whole grapheme e + acute accent becomes what its shortest prefix does.
  const std::string binary = charsmap_of_two_bytes(0xC3, 0xA9, "e");
  std::string base64;
  const char* const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < binary.size(); i += 3) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      bits = bits << 8 | (i + k < binary.size() ? static_cast<unsigned char>(binary[i + k]) : 0u);
    }
    for (int k = 3; k >= 0; --k) base64 += digits[bits >> (6 * k) & 63];
  }
  const Json description = {{"type", "Precompiled"}, {"precompiled_charsmap", base64}};
  EXPECT_EQ(normalized(description, "\xC3\xA9t\xC3\xA9\xCC\xA3x"), "etex");
  EXPECT_EQ(normalized(description, "plain"), "plain");
}

TEST(Normalizers, SentencePiece) {
  const auto run = [](SentencePieceNormalization options, std::string text, bool at_start = true) {
    NormalizedText result{std::move(text), at_start};
    make_sentencepiece_normalizer(std::move(options))->apply(result);
    return result.text;
  };
  const std::string s(reinterpret_cast<const char*>(u8"\u2581"));
  SentencePieceNormalization llama;
  llama.remove_extra_whitespaces = false;
  EXPECT_EQ(run(llama, "a  b"), s + "a" + s + s + "b");
  EXPECT_EQ(run(llama, " a"), s + s + "a");
  EXPECT_EQ(run(llama, ""), "");
  EXPECT_EQ(run(llama, "a", false), s + "a");
  llama.prefix_only_at_start = true;
  EXPECT_EQ(run(llama, "a", false), "a");
  EXPECT_EQ(run(llama, "a", true), s + "a");
  EXPECT_EQ(run(llama, " a", true), s + "a");
  SentencePieceNormalization t5;
  EXPECT_EQ(run(t5, "  a   b "), s + "a" + s + "b");
  EXPECT_EQ(run(t5, "   "), "");
  t5.charsmap = PrecompiledCharsmap(charsmap_of_two_bytes(0xC3, 0xA9, " "));
  EXPECT_EQ(run(t5, "\xC3\xA9x\xC3\xA9\xC3\xA9y"), s + "x" + s + "y");
  t5.escape_whitespaces = false;
  t5.add_dummy_prefix = false;
  EXPECT_EQ(run(t5, " a  b "), "a b");
}

TEST(Normalizers, FaultsAreErrors) {
  expect_error(Code::kUnsupported, "unknown stage", [] { make_normalizer({{"type", "Magic"}}); });
  expect_error(Code::kCorruptData, "field=type", [] { make_normalizer({{"typ", "NFC"}}); });
  expect_error(Code::kCorruptData, "JSON object", [] { make_normalizer("NFC"); });
  expect_error(Code::kCorruptData, "field=prepend", [] { make_normalizer({{"type", "Prepend"}}); });
  expect_error(Code::kCorruptData, "field=pattern", [] {
    make_normalizer({{"type", "Replace"}, {"content", ""}});
  });
  expect_error(Code::kCorruptData, "field=normalizers", [] { make_normalizer({{"type", "Sequence"}}); });
  expect_error(Code::kCorruptData, "base64", [] {
    make_normalizer({{"type", "Precompiled"}, {"precompiled_charsmap", "!"}});
  });
  expect_error(Code::kCorruptData, "true or false", [] {
    make_normalizer({{"type", "Strip"}, {"strip_left", 1}});
  });
}

}  // namespace
}  // namespace farthing::tokenizer
