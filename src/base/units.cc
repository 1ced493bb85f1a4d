#include "base/units.h"

#include <array>
#include <charconv>
#include <cmath>
#include <span>

#include "base/error.h"

namespace farthing {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr double kKibi = 1024, kKilo = 1000;

constexpr std::array<Unit, 15> kByteUnits = {{
    {"", 1},
    {"B", 1},
    {"K", kKibi},
    {"KB", kKilo},
    {"KIB", kKibi},
    {"M", kKibi* kKibi},
    {"MB", kKilo* kKilo},
    {"MIB", kKibi* kKibi},
    {"G", kKibi* kKibi* kKibi},
    {"GB", kKilo* kKilo* kKilo},
    {"GIB", kKibi* kKibi* kKibi},
    {"T", kKibi* kKibi* kKibi* kKibi},
    {"TB", kKilo* kKilo* kKilo* kKilo},
    {"TIB", kKibi* kKibi* kKibi* kKibi},
    {"PIB", kKibi* kKibi* kKibi* kKibi* kKibi},
}};

// Upper-case letters are powers of 1024, lower-case ones of 1000: the convention of vLLM's flags.
constexpr std::array<Unit, 7> kCountUnits = {{
    {"", 1},
    {"k", kKilo},
    {"K", kKibi},
    {"m", kKilo* kKilo},
    {"M", kKibi* kKibi},
    {"g", kKilo* kKilo* kKilo},
    {"G", kKibi* kKibi* kKibi},
}};

constexpr std::array<Unit, 5> kParameterUnits = {{
    {"", 1},
    {"K", kKilo},
    {"M", kKilo* kKilo},
    {"B", kKilo* kKilo* kKilo},
    {"T", kKilo* kKilo* kKilo* kKilo},
}};

constexpr std::array<Unit, 5> kTimeUnits = {{{"", 1}, {"S", 1}, {"M", 60}, {"H", 3600}, {"D", 86400}}};

// A double holds every whole number up to here.
constexpr double kLargest = 9007199254740992.0;

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return result;
}

// The number at the front of `text` and the unit behind it.
struct Quantity {
  double number = 0;
  std::string_view unit;
};

Quantity split(std::string_view text, std::string_view what, std::string_view examples) {
  Quantity result;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), result.number);
  result.unit = text.substr(static_cast<std::size_t>(rest - text.data()));
  while (result.unit.starts_with(' ')) result.unit.remove_prefix(1);
  FARTHING_REQUIRE(error == std::errc() && std::isfinite(result.number) && result.number >= 0,
                   Code::kInvalidArgument, fmt::format("not a {}", what), {{"given", text}},
                   fmt::format("write it like {}", examples));
  return result;
}

double parse(std::string_view text, std::span<const Unit> units, std::string_view what,
             std::string_view examples, bool fold_case = true) {
  const Quantity quantity = split(text, what, examples);
  const std::string unit = fold_case ? upper(quantity.unit) : std::string(quantity.unit);
  for (const Unit& known : units) {
    if (known.name != unit) continue;
    const double value = quantity.number * known.factor;
    FARTHING_REQUIRE(value <= kLargest, Code::kInvalidArgument, fmt::format("{} is too large", what),
                     {{"given", text}});
    return value;
  }
  throw Error(Code::kInvalidArgument, fmt::format("unknown unit of a {}", what),
              {{"given", text}, {"unit", quantity.unit}}, fmt::format("write it like {}", examples));
}

// "4.9", "12.3", "128": about three digits.
std::string three_digits(double value) {
  return fmt::format("{:.{}f}", value, value < 99.95 ? 1 : 0);
}

std::string scaled(double value, double step, std::span<const std::string_view> units) {
  std::size_t unit = 0;
  while (value >= step - 0.5 && unit + 1 < units.size()) {
    value /= step;
    ++unit;
  }
  return (unit == 0 ? fmt::format("{:.0f}", value) : three_digits(value)) + std::string(units[unit]);
}

}  // namespace

std::uint64_t parse_bytes(std::string_view text, std::uint64_t whole) {
  constexpr std::string_view kExamples = "20GiB, 512MB or 1.5G";
  if (whole > 0 && text.ends_with('%')) {
    const double percent = split(text, "size", kExamples).number;
    FARTHING_REQUIRE(percent <= 100, Code::kInvalidArgument, "more than the whole", {{"given", text}});
    return static_cast<std::uint64_t>(static_cast<double>(whole) * percent / 100);
  }
  return static_cast<std::uint64_t>(std::llround(parse(text, kByteUnits, "size", kExamples)));
}

std::int64_t parse_count(std::string_view text) {
  const double value = parse(text, kCountUnits, "count", "2048, 32K (32768) or 32k (32000)", false);
  FARTHING_REQUIRE(std::abs(value - std::round(value)) < 1e-6, Code::kInvalidArgument,
                   "a count must be a whole number", {{"given", text}});
  return std::llround(value);
}

std::int64_t parse_parameters(std::string_view text) {
  return std::llround(parse(text, kParameterUnits, "number of parameters", "6B, 135M or 1.1T"));
}

double parse_duration(std::string_view text) {
  return parse(text, kTimeUnits, "duration", "90s, 5m or 1.5h");
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<std::string_view, 6> kUnits = {" B", " KiB", " MiB", " GiB", " TiB", " PiB"};
  return scaled(static_cast<double>(bytes), kKibi, kUnits);
}

std::string format_count(std::int64_t count) {
  static constexpr std::array<std::string_view, 5> kUnits = {"", "K", "M", "B", "T"};
  return scaled(static_cast<double>(count), kKilo, kUnits);
}

std::string format_duration(double seconds) {
  if (seconds < 9.95) return fmt::format("{:.1f}s", seconds);
  const auto whole = std::llround(seconds);
  if (whole < 60) return fmt::format("{}s", whole);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  if (whole < 86400) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  return fmt::format("{}d{:02}h", whole / 86400, whole / 3600 % 24);
}

}  // namespace farthing
