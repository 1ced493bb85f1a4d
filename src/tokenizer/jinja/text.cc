#include "tokenizer/jinja/text.h"

#include <algorithm>

#include <utf8proc.h>

namespace farthing::tokenizer::jinja {
namespace {

constexpr char32_t kReplacement = 0xFFFD;
constexpr char32_t kCapitalSigma = 0x3A3;
constexpr char32_t kFinalSigma = 0x3C2;

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

utf8proc_category_t category(char32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
}

// Full case folding, which is where utf8proc keeps mappings to several code points.
std::u32string fold(char32_t code_point) {
  utf8proc_int32_t out[8];
  int boundary = 0;
  const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code_point), out, 8,
                                             UTF8PROC_CASEFOLD, &boundary);
  if (count <= 0 || count > 8) return {code_point};
  return {out, out + count};
}

char32_t simple_upper(char32_t code_point) {
  return static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code_point)));
}
char32_t simple_lower(char32_t code_point) {
  return static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code_point)));
}
char32_t simple_title(char32_t code_point) {
  return static_cast<char32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code_point)));
}

// Letters such as sharp s have no capital of their own: their folded form, capitalized, stands in for it.
void append_upper(std::u32string& out, char32_t code_point) {
  const std::u32string folded = is_lower(code_point) ? fold(code_point) : std::u32string(1, code_point);
  if (folded.size() == 1) {
    out += simple_upper(code_point);
  } else {
    std::transform(folded.begin(), folded.end(), std::back_inserter(out), simple_upper);
  }
}

void append_title(std::u32string& out, char32_t code_point) {
  std::u32string folded = is_lower(code_point) ? fold(code_point) : std::u32string(1, code_point);
  const char32_t title = simple_title(code_point);
  if (folded.size() == 1 || category(title) == UTF8PROC_CATEGORY_LT) {
    out += title;
  } else {
    folded[0] = simple_upper(folded[0]);
    out += folded;
  }
}

void append_lower(std::u32string& out, std::u32string_view text, std::size_t i) {
  const char32_t code_point = text[i];
  if (code_point == kCapitalSigma) {
    const bool after_letter = i > 0 && is_cased(text[i - 1]);
    const bool before_letter = i + 1 < text.size() && is_cased(text[i + 1]);
    out += after_letter && !before_letter ? kFinalSigma : simple_lower(code_point);
  } else if (code_point == 0x130) {  // capital I with a dot: the only small form of two code points
    out += U"i\u0307";
  } else {
    out += simple_lower(code_point);
  }
}

template <typename Holds>
bool cased_are_all(std::string_view text, Holds holds) {
  const std::u32string all = code_points(text);
  return std::any_of(all.begin(), all.end(), is_cased) &&
         std::all_of(all.begin(), all.end(), [&](char32_t c) { return !is_cased(c) || holds(c); });
}

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

}  // namespace

char32_t next_code_point(std::string_view text, std::size_t& offset) {
  utf8proc_int32_t code_point = 0;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + offset;
  if (*bytes < 0x80) {
    ++offset;
    return *bytes;
  }
  const auto length =
      utf8proc_iterate(bytes, static_cast<utf8proc_ssize_t>(text.size() - offset), &code_point);
  if (length <= 0) {
    ++offset;
    return kReplacement;
  }
  offset += static_cast<std::size_t>(length);
  return static_cast<char32_t>(code_point);
}

void append_code_point(std::string& text, char32_t code_point) {
  utf8proc_uint8_t bytes[4];
  if (!utf8proc_codepoint_valid(static_cast<utf8proc_int32_t>(code_point))) code_point = kReplacement;
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
}

std::u32string code_points(std::string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t offset = 0; offset < text.size();) out += next_code_point(text, offset);
  return out;
}

std::string utf8(std::u32string_view code_points) {
  std::string out;
  out.reserve(code_points.size());
  for (const char32_t code_point : code_points) append_code_point(out, code_point);
  return out;
}

std::size_t text_length(std::string_view text) {
  const bool ascii = std::none_of(text.begin(), text.end(), [](char c) { return (c & 0x80) != 0; });
  if (ascii) return text.size();
  std::size_t count = 0;
  for (std::size_t offset = 0; offset < text.size(); ++count) next_code_point(text, offset);
  return count;
}

std::string_view slice_text(std::string_view text, std::size_t begin, std::size_t end) {
  std::size_t offset = 0;
  std::size_t position = 0;
  for (; position < begin && offset < text.size(); ++position) next_code_point(text, offset);
  const std::size_t first = offset;
  for (; position < end && offset < text.size(); ++position) next_code_point(text, offset);
  return text.substr(first, offset - first);
}

bool is_space(char32_t c) {
  if (c < 0x80) return c == ' ' || (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x1F);
  if (c == 0x85) return true;
  const auto kind = category(c);
  return kind == UTF8PROC_CATEGORY_ZS || kind == UTF8PROC_CATEGORY_ZL || kind == UTF8PROC_CATEGORY_ZP;
}

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_letter(char32_t c) {
  return category(c) >= UTF8PROC_CATEGORY_LU && category(c) <= UTF8PROC_CATEGORY_LO;
}
bool is_decimal(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_ND;
}

bool is_digit(char32_t c) {
  const bool superscript = c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 || (c >= 0x2074 && c <= 0x2079);
  const bool other = (c >= 0x2080 && c <= 0x2089) || (c >= 0x2460 && c <= 0x2468);
  return is_decimal(c) || superscript || other;
}

bool is_numeric(char32_t c) {
  return category(c) >= UTF8PROC_CATEGORY_ND && category(c) <= UTF8PROC_CATEGORY_NO;
}

bool is_upper(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LU;
}
bool is_lower(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LL || c == 0xAA || c == 0xBA;
}
bool is_cased(char32_t c) {
  return is_upper(c) || is_lower(c) || category(c) == UTF8PROC_CATEGORY_LT;
}

bool is_all_upper(std::string_view text) {
  return cased_are_all(text, is_upper);
}
bool is_all_lower(std::string_view text) {
  return cased_are_all(text, is_lower);
}

std::string to_upper(std::string_view text) {
  std::u32string out;
  for (const char32_t c : code_points(text)) append_upper(out, c);
  return utf8(out);
}

std::string to_lower(std::string_view text) {
  const std::u32string in = code_points(text);
  std::u32string out;
  for (std::size_t i = 0; i < in.size(); ++i) append_lower(out, in, i);
  return utf8(out);
}

std::string fold_case(std::string_view text) {
  std::u32string out;
  for (const char32_t c : code_points(text)) out += fold(c);
  return utf8(out);
}

std::string capitalize(std::string_view text) {
  const std::u32string in = code_points(text);
  std::u32string out;
  if (!in.empty()) append_title(out, in[0]);
  for (std::size_t i = 1; i < in.size(); ++i) append_lower(out, in, i);
  return utf8(out);
}

std::string to_title(std::string_view text) {
  const std::u32string in = code_points(text);
  std::u32string out;
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (i > 0 && is_cased(in[i - 1])) {
      append_lower(out, in, i);
    } else {
      append_title(out, in[i]);
    }
  }
  return utf8(out);
}

std::string swap_case(std::string_view text) {
  const std::u32string in = code_points(text);
  std::u32string out;
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (is_upper(in[i])) {
      append_lower(out, in, i);
    } else {
      append_upper(out, in[i]);
    }
  }
  return utf8(out);
}

std::string_view strip(std::string_view text, const std::string_view* set, Side side) {
  const std::u32string characters = set ? code_points(*set) : std::u32string();
  const auto goes = [&](char32_t c) {
    return set ? characters.find(c) != std::u32string::npos : is_space(c);
  };
  if (side != Side::kRight) {
    for (std::size_t next = 0; next < text.size();) {
      if (!goes(next_code_point(text, next))) break;
      text.remove_prefix(next);
      next = 0;
    }
  }
  while (side != Side::kLeft && !text.empty()) {
    std::size_t start = text.size() - 1;
    while (start > 0 && is_continuation(text[start]) && text.size() - start < 4) --start;
    std::size_t next = start;
    if (const char32_t c = next_code_point(text, next); next == text.size()) {
      if (!goes(c)) break;
    } else {  // the last byte is not the end of a code point
      if (!goes(kReplacement)) break;
      start = text.size() - 1;
    }
    text.remove_suffix(text.size() - start);
  }
  return text;
}

std::vector<std::string_view> split_at_spaces(std::string_view text, long max_splits, bool from_right) {
  std::vector<std::string_view> words;
  std::size_t start = 0;
  for (std::size_t offset = 0; offset < text.size();) {
    const std::size_t before = offset;
    if (!is_space(next_code_point(text, offset))) continue;
    if (before > start) words.push_back(text.substr(start, before - start));
    start = offset;
  }
  if (start < text.size()) words.push_back(text.substr(start));
  if (max_splits < 0 || words.size() <= static_cast<std::size_t>(max_splits)) return words;

  // The words beyond the limit stay together, with the white space between and beyond them.
  const auto limit = static_cast<std::size_t>(max_splits);
  if (from_right) {
    const std::string_view last = words[words.size() - limit - 1];
    words.erase(words.begin(), words.end() - static_cast<std::ptrdiff_t>(limit));
    words.insert(words.begin(), text.substr(0, static_cast<std::size_t>(last.end() - text.begin())));
  } else {
    const std::string_view first = words[limit];
    words.resize(limit);
    words.push_back(text.substr(static_cast<std::size_t>(first.begin() - text.begin())));
  }
  return words;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, long max_splits,
                                       bool from_right) {
  std::vector<std::string_view> pieces;
  for (; max_splits != 0; --max_splits) {
    const std::size_t found = from_right ? text.rfind(separator) : text.find(separator);
    if (found == std::string_view::npos) break;
    const std::string_view left = text.substr(0, found);
    const std::string_view right = text.substr(found + separator.size());
    pieces.push_back(from_right ? right : left);
    text = from_right ? left : right;
  }
  pieces.push_back(text);
  if (from_right) std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  std::size_t start = 0;
  for (std::size_t offset = 0; offset < text.size();) {
    const std::size_t before = offset;
    const char32_t c = next_code_point(text, offset);
    if (!is_line_end(c)) continue;
    if (c == '\r' && offset < text.size() && text[offset] == '\n') ++offset;
    lines.push_back(text.substr(start, (keep_ends ? offset : before) - start));
    start = offset;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

std::size_t count_occurrences(std::string_view text, std::string_view part) {
  if (part.empty()) return text_length(text) + 1;
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size()))
    ++count;
  return count;
}

std::string replace_text(std::string_view text, std::string_view old, std::string_view replacement,
                         long limit, Budget& budget) {
  std::string out;
  const auto put = [&](std::string_view piece) {
    budget.charge(piece.size());
    out += piece;
  };
  std::size_t at = 0;
  for (; limit != 0; --limit) {
    if (old.empty()) {
      put(replacement);
      if (at >= text.size()) return out;
      const std::size_t before = at;
      next_code_point(text, at);
      put(text.substr(before, at - before));
    } else {
      const std::size_t found = text.find(old, at);
      if (found == std::string_view::npos) break;
      put(text.substr(at, found - at));
      put(replacement);
      at = found + old.size();
    }
  }
  put(text.substr(at));
  return out;
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace farthing::tokenizer::jinja
