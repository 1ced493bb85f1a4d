#include "tokenizer/unicode.h"

#include <vector>

#include <utf8proc.h>

#include "base/error.h"

namespace farthing::tokenizer {

namespace {

/// What a first byte promises: the length of its sequence (0: cannot start one) and the range of the second
/// byte, which excludes overlong forms, surrogates and values beyond U+10FFFF.
struct Lead {
  std::size_t length;
  unsigned char second_low, second_high;
};

Lead classify_lead(unsigned char byte) {
  if (byte < 0x80) return {1, 0x80, 0xBF};
  if (byte < 0xC2) return {0, 0x80, 0xBF};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0x80, 0xBF};
}

/// The sequence at the start of `bytes`: how many bytes belong together, and whether they are a character.
struct Sequence {
  std::size_t length;
  bool valid;
};

Sequence first_sequence(std::string_view bytes) {
  const Lead lead = classify_lead(static_cast<unsigned char>(bytes[0]));
  if (lead.length == 0) return {1, false};
  if (lead.length == 1) return {1, true};
  std::size_t length = 1;
  while (length < lead.length && length < bytes.size()) {
    const auto byte = static_cast<unsigned char>(bytes[length]);
    const unsigned char low = length == 1 ? lead.second_low : 0x80;
    const unsigned char high = length == 1 ? lead.second_high : 0xBF;
    if (byte < low || byte > high) return {length, false};
    ++length;
  }
  return {length, length == lead.length};
}

utf8proc_category_t category(char32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
}

std::size_t ascii_prefix(std::string_view text) {
  std::size_t length = 0;
  while (length < text.size() && static_cast<unsigned char>(text[length]) < 0x80) ++length;
  return length;
}

/// Normalizes a piece and appends it.
void append_normalized(std::string& result, std::string_view piece, utf8proc_option_t options) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(piece.data());
  const auto size = static_cast<utf8proc_ssize_t>(piece.size());
  std::vector<utf8proc_int32_t> code_points(piece.size() + 1);
  utf8proc_ssize_t count = utf8proc_decompose(bytes, size, code_points.data(),
                                              static_cast<utf8proc_ssize_t>(code_points.size()), options);
  if (count > static_cast<utf8proc_ssize_t>(code_points.size())) {
    code_points.resize(static_cast<std::size_t>(count));
    count = utf8proc_decompose(bytes, size, code_points.data(), count, options);
  }
  FARTHING_CHECK(count >= 0, "normalizing {} bytes: {}", piece.size(), utf8proc_errmsg(count));
  if (options & UTF8PROC_COMPOSE) count = utf8proc_normalize_utf32(code_points.data(), count, options);
  FARTHING_CHECK(count >= 0, "composing {} bytes: {}", piece.size(), utf8proc_errmsg(count));
  for (utf8proc_ssize_t i = 0; i < count; ++i) append_utf8(result, static_cast<char32_t>(code_points[i]));
}

}  // namespace

CodePoint code_point_at(std::string_view text, std::size_t position) {
  const auto byte = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(text[position + i]));
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  if (lead < 0xE0) return {(lead & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (lead < 0xF0) return {(lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

CodePoint code_point_before(std::string_view text, std::size_t end) {
  std::size_t start = end - 1;
  while (start > 0 && is_continuation_byte(text[start])) --start;
  return code_point_at(text, start);
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

std::string to_utf8(char32_t code_point) {
  std::string text;
  append_utf8(text, code_point);
  return text;
}

std::size_t count_code_points(std::string_view text) {
  std::size_t count = 0;
  for (const char byte : text) count += !is_continuation_byte(byte);
  return count;
}

std::size_t valid_utf8_prefix(std::string_view bytes) {
  std::size_t position = 0;
  while (true) {
    position += ascii_prefix(bytes.substr(position));
    if (position == bytes.size()) return position;
    const Sequence sequence = first_sequence(bytes.substr(position));
    if (!sequence.valid) return position;
    position += sequence.length;
  }
}

std::string to_valid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (true) {
    const std::size_t valid = valid_utf8_prefix(bytes);
    text += bytes.substr(0, valid);
    bytes.remove_prefix(valid);
    if (bytes.empty()) return text;
    text += kReplacementCharacter;
    bytes.remove_prefix(first_sequence(bytes).length);
  }
}

bool is_white_space(char32_t code_point) {
  if (code_point < 0x80) return code_point == ' ' || (code_point >= 0x09 && code_point <= 0x0D);
  return code_point == 0x85 || code_point == 0xA0 || code_point == 0x1680 ||
         (code_point >= 0x2000 && code_point <= 0x200A) || code_point == 0x2028 || code_point == 0x2029 ||
         code_point == 0x202F || code_point == 0x205F || code_point == 0x3000;
}

bool is_numeric(char32_t code_point) {
  const auto value = category(code_point);
  return value == UTF8PROC_CATEGORY_ND || value == UTF8PROC_CATEGORY_NL || value == UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t code_point) {
  if (code_point < 0x80) {
    return (code_point >= 0x21 && code_point <= 0x2F) || (code_point >= 0x3A && code_point <= 0x40) ||
           (code_point >= 0x5B && code_point <= 0x60) || (code_point >= 0x7B && code_point <= 0x7E);
  }
  const auto value = category(code_point);
  return value >= UTF8PROC_CATEGORY_PC && value <= UTF8PROC_CATEGORY_PO;
}

bool is_mark(char32_t code_point) {
  const auto value = category(code_point);
  return value >= UTF8PROC_CATEGORY_MN && value <= UTF8PROC_CATEGORY_ME;
}

bool is_nonspacing_mark(char32_t code_point) {
  return category(code_point) == UTF8PROC_CATEGORY_MN;
}

bool is_other(char32_t code_point) {
  const auto value = category(code_point);
  return value >= UTF8PROC_CATEGORY_CC;
}

void append_lowercase(std::string& text, char32_t code_point) {
  if (code_point == 0x130) {  // the one letter whose lower case is two code points: dotted capital I
    text += "i\xCC\x87";
    return;
  }
  append_utf8(text, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code_point))));
}

std::string normalize(std::string_view text, NormalizationForm form) {
  int options = UTF8PROC_STABLE;
  const bool compose = form == NormalizationForm::kNfc || form == NormalizationForm::kNfkc;
  options |= compose ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalizationForm::kNfkc || form == NormalizationForm::kNfkd) options |= UTF8PROC_COMPAT;

  std::string result;
  result.reserve(text.size());
  std::size_t position = 0;
  while (position < text.size()) {
    // ASCII is normal in every form; only its last character can combine with what follows.
    const std::size_t ascii = ascii_prefix(text.substr(position));
    std::size_t end = position + ascii;
    if (end == text.size()) {
      result += text.substr(position);
      break;
    }
    const std::size_t start = ascii > 0 ? end - 1 : end;
    while (end < text.size() && static_cast<unsigned char>(text[end]) >= 0x80) ++end;
    result += text.substr(position, start - position);
    append_normalized(result, text.substr(start, end - start), static_cast<utf8proc_option_t>(options));
    position = end;
  }
  return result;
}

std::size_t grapheme_length(std::string_view text) {
  CodePoint previous = code_point_at(text, 0);
  std::size_t length = previous.length;
  utf8proc_int32_t state = 0;
  while (length < text.size()) {
    const CodePoint next = code_point_at(text, length);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(previous.value),
                                         static_cast<utf8proc_int32_t>(next.value), &state)) {
      break;
    }
    length += next.length;
    previous = next;
  }
  return length;
}

}  // namespace farthing::tokenizer
