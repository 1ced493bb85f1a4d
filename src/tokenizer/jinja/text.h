// UTF-8 text seen as Python sees it: a row of code points. Bytes that are not UTF-8 count as one code point
// each.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/jinja/budget.h"

namespace farthing::tokenizer::jinja {

/// Returns the code point at `offset` and moves `offset` past it; U+FFFD for a byte that is not UTF-8.
char32_t next_code_point(std::string_view text, std::size_t& offset);

/// Appends the UTF-8 form of `code_point`, or of U+FFFD when it has none.
void append_code_point(std::string& text, char32_t code_point);

std::u32string code_points(std::string_view text);
std::string utf8(std::u32string_view code_points);

/// Number of code points.
std::size_t text_length(std::string_view text);

/// The code points [begin, end), both clamped to the text.
std::string_view slice_text(std::string_view text, std::size_t begin, std::size_t end);

bool is_space(char32_t code_point);      // str.isspace
bool is_printable(char32_t code_point);  // str.isprintable
bool is_letter(char32_t code_point);     // str.isalpha
bool is_decimal(char32_t code_point);    // str.isdecimal
bool is_digit(char32_t code_point);      // str.isdigit: decimals, and superscripts and the like
bool is_numeric(char32_t code_point);    // str.isnumeric
bool is_upper(char32_t code_point);
bool is_lower(char32_t code_point);
bool is_cased(char32_t code_point);
/// str.isupper, str.islower: some cased code points, and all of them of that case.
bool is_all_upper(std::string_view text);
bool is_all_lower(std::string_view text);

std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
std::string fold_case(std::string_view text);
std::string capitalize(std::string_view text);
/// str.title: every letter after a character without case becomes a capital, all others small.
std::string to_title(std::string_view text);
std::string swap_case(std::string_view text);

enum class Side { kBoth, kLeft, kRight };

/// Takes away characters of `set` at the ends; white space when `set` is null.
std::string_view strip(std::string_view text, const std::string_view* set, Side side);

/// Splits at runs of white space, at most `max_splits` times (negative: no limit), from the given end.
std::vector<std::string_view> split_at_spaces(std::string_view text, long max_splits, bool from_right);
/// Splits at each `separator`, which must not be empty.
std::vector<std::string_view> split_at(std::string_view text, std::string_view separator, long max_splits,
                                       bool from_right);
/// str.splitlines: all of Unicode's line ends.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends);

/// Occurrences of `part` that do not overlap. An empty part occurs around every code point.
std::size_t count_occurrences(std::string_view text, std::string_view part);

/// Replaces the first `limit` occurrences (negative: all). An empty `old` occurs around every code point.
std::string replace_text(std::string_view text, std::string_view old, std::string_view replacement,
                         long limit, Budget& budget);

/// Replaces & < > " ' as markupsafe does.
std::string escape_html(std::string_view text);

}  // namespace farthing::tokenizer::jinja
