#include "tokenizer/jinja/numbers.h"

#include <charconv>
#include <limits>
#include <string>

#include "tokenizer/jinja/failure.h"
#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer::jinja {
namespace {

bool take_sign(std::string_view& text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  return negative;
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  if (c >= 'A' && c <= 'Z') return c - 'A' + 10;
  return std::numeric_limits<int>::max();
}

// Takes away a prefix that goes with `base`, and settles a base of 0.
int take_prefix(std::string_view& text, int base) {
  const char letter = text.size() > 1 && text[0] == '0' ? static_cast<char>(text[1] | 0x20) : '\0';
  const int announced = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
  if (announced != 0 && (base == 0 || base == announced)) {
    text.remove_prefix(2);
    if (text.starts_with('_')) text.remove_prefix(1);
    return announced;
  }
  return base == 0 ? 10 : base;
}

}  // namespace

std::optional<std::int64_t> parse_integer(std::string_view text, int base) {
  text = strip(text, nullptr, Side::kBoth);
  const bool negative = take_sign(text);
  base = take_prefix(text, base);
  std::int64_t value = 0;
  bool overflow = false;
  bool after_digit = false;
  for (const char c : text) {
    if (c == '_' && after_digit) {
      after_digit = false;
      continue;
    }
    if (digit_value(c) >= base) return {};
    overflow = overflow || __builtin_mul_overflow(value, base, &value) ||
               __builtin_add_overflow(value, negative ? -digit_value(c) : digit_value(c), &value);
    after_digit = true;
  }
  if (!after_digit) return {};
  if (overflow) fail("integer too large for 64 bits");
  return value;
}

std::optional<double> parse_float(std::string_view text) {
  text = strip(text, nullptr, Side::kBoth);
  const bool negative = take_sign(text);
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool between_digits =
        i > 0 && i + 1 < text.size() && digit_value(text[i - 1]) < 10 && digit_value(text[i + 1]) < 10;
    if (text[i] != '_' || !between_digits) digits += text[i];
  }
  if (digits.empty() || digits[0] == '-' || digits[0] == '+') return {};
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (end != digits.data() + digits.size() || error == std::errc::invalid_argument) return {};
  if (error == std::errc::result_out_of_range) {
    // Too large or too small for a double; the exponent's sign tells which.
    value = digits.find("e-") == std::string::npos && digits.find("E-") == std::string::npos
                ? std::numeric_limits<double>::infinity()
                : 0.0;
  }
  return negative ? -value : value;
}

}  // namespace farthing::tokenizer::jinja
