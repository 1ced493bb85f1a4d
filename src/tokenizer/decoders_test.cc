#include <gtest/gtest.h>

#include "tokenizer/decoder.h"
#include "tokenizer/test_files.h"

namespace farthing::tokenizer {
namespace {

std::string decoded(const Json& description, std::vector<std::string> tokens) {
  make_decoder(description)->apply(tokens);
  return fmt::format("{}", fmt::join(tokens, ""));
}

TEST(Decoders, ByteLevel) {
  EXPECT_EQ(decoded({{"type", "ByteLevel"}}, {"\xC4\xA0"
                                              "a",
                                              "\xC3\x83", "\xC2\xA9"}),
            " a\xC3\xA9");
  EXPECT_EQ(decoded({{"type", "ByteLevel"}}, {"\xC3\x83"}), "\xEF\xBF\xBD");
  EXPECT_EQ(decoded({{"type", "ByteLevel"}}, {"a", "\xE2\x96\x81", "b"}),
            "a\xE2\x96\x81"
            "b");  // stands for no byte
}

TEST(Decoders, ByteFallback) {
  const Json fallback = {{"type", "ByteFallback"}};
  EXPECT_EQ(decoded(fallback, {"<0xE4>", "<0xbd>", "<0xA0>", "x"}), "\xE4\xBD\xA0x");
  EXPECT_EQ(decoded(fallback, {"<0xE4>", "<0xBD>", "<0xA0>", "<0xE5>", "x", "<0x41>"}),
            "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBDxA");
  EXPECT_EQ(decoded(fallback, {"<0xZZ>", "<0x4>"}), "<0xZZ><0x4>");
}

TEST(Decoders, Metaspace) {
  const auto metaspace = [](const char* scheme) {
    return Json{{"type", "Metaspace"}, {"replacement", "_"}, {"prepend_scheme", scheme}};
  };
  EXPECT_EQ(decoded(metaspace("always"), {"__a", "_b"}), "a b");
  EXPECT_EQ(decoded(metaspace("never"), {"_a", "_b"}), " a b");
}

TEST(Decoders, ReplaceFuseStrip) {
  const Json llama = {{"type", "Sequence"},
                      {"decoders",
                       {{{"type", "Replace"}, {"pattern", {{"String", "_"}}}, {"content", " "}},
                        {{"type", "Fuse"}},
                        {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}};
  EXPECT_EQ(decoded(llama, {"_", "_a", "_b"}), " a b");
  EXPECT_EQ(decoded({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 2}}, {"  a   ", " "}),
            " a ");
  EXPECT_EQ(decoded({{"type", "Replace"}, {"pattern", {{"Regex", "\\d"}}}, {"content", "#"}}, {"a12", "3"}),
            "a###");
}

TEST(Decoders, WordPiece) {
  EXPECT_EQ(decoded({{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}},
                    {"he", "##llo", "do", "n't", ".", "##"}),
            "hello don't.");
  EXPECT_EQ(decoded({{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", false}}, {"he", "."}), "he .");
}

TEST(Decoders, BpeAndCtc) {
  EXPECT_EQ(decoded({{"type", "BPEDecoder"}, {"suffix", "</w>"}}, {"a</w>", "b", "c</w>"}), "a bc");
  EXPECT_EQ(decoded({{"type", "CTC"}}, {"a", "a", "b", "<pad>", "b", "|", "c"}), "abb c");
}

TEST(Decoders, CleanUp) {
  EXPECT_EQ(clean_up_spaces("Hi , it 's me . Do n't ! We 're"), "Hi, it's me. Don't! We're");
  EXPECT_EQ(clean_up_spaces(" ' x"), "'x");
}

TEST(Decoders, FaultsAreErrors) {
  expect_error(Code::kUnsupported, "unknown stage", [] { make_decoder({{"type", "Magic"}}); });
  expect_error(Code::kCorruptData, "field=content", [] {
    make_decoder({{"type", "Strip"}, {"content", "ab"}});
  });
  expect_error(Code::kCorruptData, "field=start", [] { make_decoder({{"type", "Strip"}, {"start", -1}}); });
  EXPECT_EQ(make_decoder(nullptr), nullptr);
}

}  // namespace
}  // namespace farthing::tokenizer
