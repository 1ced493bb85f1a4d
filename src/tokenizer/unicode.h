// UTF-8 and the few Unicode properties that tokenizers ask for, with the meaning that Rust's standard library
// gives them, because tokenizer.json files are defined by a Rust program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace farthing::tokenizer {

/// Whether a byte of UTF-8 is not the first of its character.
inline bool is_continuation_byte(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

/// One code point and the number of bytes that it took.
struct CodePoint {
  char32_t value = 0;
  std::size_t length = 1;
};

/// Reads the code point at `position` of valid UTF-8; `position` must be inside `text`.
CodePoint code_point_at(std::string_view text, std::size_t position);

/// Reads the code point that ends just before `end`; `end` must be positive.
CodePoint code_point_before(std::string_view text, std::size_t end);

/// Appends the UTF-8 form of a valid code point.
void append_utf8(std::string& text, char32_t code_point);
std::string to_utf8(char32_t code_point);

/// Counts the code points of valid UTF-8.
std::size_t count_code_points(std::string_view text);

/// The length of the valid UTF-8 at the start of `bytes`.
std::size_t valid_utf8_prefix(std::string_view bytes);

/// Replaces every maximal part of a broken sequence by U+FFFD, as the Unicode standard recommends.
std::string to_valid_utf8(std::string_view bytes);

/// The spelling of U+FFFD.
inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";

/// Property White_Space.
bool is_white_space(char32_t code_point);
/// General category N*: decimal digits, letter-like numbers, fractions.
bool is_numeric(char32_t code_point);
/// ASCII punctuation (symbols such as $ included) or general category P*.
bool is_punctuation(char32_t code_point);
/// General category M*.
bool is_mark(char32_t code_point);
/// General category Mn.
bool is_nonspacing_mark(char32_t code_point);
/// General category Cc, Cf, Cs or Co: controls, formats, surrogates, private use; not what is unassigned.
bool is_other(char32_t code_point);

/// Appends the lower-case form, without regard to context.
void append_lowercase(std::string& text, char32_t code_point);

enum class NormalizationForm { kNfc, kNfd, kNfkc, kNfkd };

/// Returns valid UTF-8 in a Unicode normalization form.
std::string normalize(std::string_view text, NormalizationForm form);

/// The length of the extended grapheme cluster at the start of `text`.
std::size_t grapheme_length(std::string_view text);

}  // namespace farthing::tokenizer
