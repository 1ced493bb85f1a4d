#include "tokenizer/byte_level.h"

#include <array>

#include "tokenizer/unicode.h"

namespace farthing::tokenizer {

namespace {

constexpr char32_t kFirstSubstitute = 0x100;

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<char32_t, 256> character{};
  std::array<int, kFirstSubstitute + 68> byte{};  // -1: stands for no byte

  constexpr Alphabet() {
    byte.fill(-1);
    char32_t substitute = kFirstSubstitute;
    for (unsigned b = 0; b < 256; ++b) {
      character[b] = stands_for_itself(b) ? static_cast<char32_t>(b) : substitute++;
      byte[character[b]] = static_cast<int>(b);
    }
  }
};

constexpr Alphabet kAlphabet;

}  // namespace

void append_byte_level(std::string& text, std::string_view bytes) {
  for (const char byte : bytes) append_utf8(text, kAlphabet.character[static_cast<unsigned char>(byte)]);
}

void append_byte_level_decoded(std::string& bytes, std::string_view text) {
  const std::size_t size = bytes.size();
  for (std::size_t i = 0; i < text.size();) {
    const CodePoint code_point = code_point_at(text, i);
    if (code_point.value >= kAlphabet.byte.size() || kAlphabet.byte[code_point.value] < 0) {
      bytes.resize(size);
      bytes += text;
      return;
    }
    bytes.push_back(static_cast<char>(kAlphabet.byte[code_point.value]));
    i += code_point.length;
  }
}

}  // namespace farthing::tokenizer
