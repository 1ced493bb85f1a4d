#include "tokenizer/jinja/word_wrap.h"

#include <algorithm>

#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer::jinja {
namespace {

// A word may be cut after a hyphen between letters: two before it (or one, a hyphen and one), two after it.
bool hyphen_ends_chunk(const std::u32string& text, std::size_t hyphen) {
  const auto letter = [&](std::size_t i) {
    return i < text.size() && (is_letter(text[i]) || text[i] == '_');
  };
  const bool before = hyphen >= 2 && letter(hyphen - 1) &&
                      (letter(hyphen - 2) || (hyphen >= 3 && text[hyphen - 2] == '-' && letter(hyphen - 3)));
  const bool after =
      letter(hyphen + 1) &&
      (letter(hyphen + 2) || (hyphen + 2 < text.size() && text[hyphen + 2] == '-' && letter(hyphen + 3)));
  return before && after;
}

bool is_blank(const std::u32string& chunk) {
  return std::all_of(chunk.begin(), chunk.end(), is_space);
}

// Words, parts of hyphenated words, and the white space between them.
std::vector<std::u32string> split_chunks(std::string_view text, bool break_on_hyphens) {
  const std::u32string characters = code_points(text);
  std::vector<std::u32string> chunks;
  bool starts = true;
  for (std::size_t i = 0; i < characters.size(); ++i) {
    if (starts || is_space(characters[i]) != is_space(characters[i - 1])) chunks.emplace_back();
    chunks.back() += characters[i];
    starts = break_on_hyphens && characters[i] == '-' && hyphen_ends_chunk(characters, i);
  }
  return chunks;
}

// Where to cut a word that does not fit a line of its own.
std::size_t cut_position(const std::u32string& word, std::size_t room, bool break_on_hyphens) {
  if (!break_on_hyphens || word.size() <= room || room == 0) return room;
  const std::size_t hyphen = word.rfind(U'-', room - 1);
  const bool useful = hyphen != std::u32string::npos && hyphen > 0 && word.find_first_not_of(U'-') < hyphen;
  return useful ? hyphen + 1 : room;
}

}  // namespace

std::vector<std::string> wrap_words(std::string_view text, const WrapStyle& style) {
  std::vector<std::u32string> chunks = split_chunks(text, style.break_on_hyphens);
  std::vector<std::string> lines;
  for (std::size_t next = 0; next < chunks.size();) {
    if (!lines.empty() && is_blank(chunks[next])) ++next;
    std::vector<std::u32string> line;
    std::size_t length = 0;
    while (next < chunks.size() && length + chunks[next].size() <= style.width) {
      length += chunks[next].size();
      line.push_back(std::move(chunks[next++]));
    }
    if (next < chunks.size() && chunks[next].size() > style.width) {
      if (style.break_long_words) {
        const std::size_t cut = cut_position(chunks[next], style.width - length, style.break_on_hyphens);
        line.push_back(chunks[next].substr(0, cut));
        chunks[next].erase(0, cut);
      } else if (line.empty()) {
        line.push_back(std::move(chunks[next++]));
      }
    }
    if (!line.empty() && is_blank(line.back())) line.pop_back();
    std::u32string joined;
    for (const std::u32string& chunk : line) joined += chunk;
    if (!line.empty()) lines.push_back(utf8(joined));
  }
  return lines;
}

}  // namespace farthing::tokenizer::jinja
