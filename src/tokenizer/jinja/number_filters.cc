// The filters that make or change numbers.
#include <cmath>

#include "tokenizer/jinja/builtin.h"
#include "tokenizer/jinja/numbers.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"

namespace farthing::tokenizer::jinja {
namespace {

constexpr double kIntegerLimit = 9.2e18;  // just inside 64 bits

void require_defined(const Value& value) {
  if (value.is_undefined()) fail("{}", value.complaint());
}

std::optional<double> to_float(const Value& value) {
  require_defined(value);
  const Text* text = value.as_text();
  return text ? parse_float(text->bytes) : value.as_number();
}

Value absolute(Runtime&, const Value& self, const Bound&) {
  require_defined(self);
  const auto number = self.as_number();
  if (!number) fail("bad operand type for abs(): '{}'", type_name(self));
  return *number < 0 ? negate(self) : affirm(self);
}

Value integer(Runtime&, const Value& self, const Bound& arguments) {
  require_defined(self);
  if (const auto value = self.as_integer()) return Value::integer(*value);
  if (const Text* text = self.as_text()) {
    const std::int64_t base = arguments.integer(1, 10);
    if (base != 0 && (base < 2 || base > 36)) fail("int() base must be >= 2 and <= 36, or 0");
    if (const auto value = parse_integer(text->bytes, static_cast<int>(base))) return Value::integer(*value);
  }
  const auto number = to_float(self);  // so that "42.9" gives 42
  if (number && std::abs(*number) < kIntegerLimit) return Value::integer(static_cast<std::int64_t>(*number));
  return arguments.has(0) ? arguments.value(0) : Value::integer(0);
}

Value real(Runtime&, const Value& self, const Bound& arguments) {
  if (const auto number = to_float(self)) return Value::real(*number);
  return arguments.has(0) ? arguments.value(0) : Value::real(0);
}

// Python's round(): exact, halves to even. Printing with that many digits is exact in the same way.
double round_to(double value, std::int64_t precision) {
  if (!std::isfinite(value) || precision > 300) return value;
  if (precision >= 0)
    return parse_float(fmt::format("{:.{}f}", value, static_cast<int>(precision))).value_or(value);
  const double unit = std::pow(10.0, static_cast<double>(-precision));
  return std::isfinite(unit) ? std::nearbyint(value / unit) * unit : 0.0;
}

Value round(Runtime& runtime, const Value& self, const Bound& arguments) {
  require_defined(self);
  const std::int64_t precision = arguments.integer(0, 0);
  const std::string method = arguments.text(1, "common");
  const auto number = self.as_number();
  if (method != "common" && method != "ceil" && method != "floor")
    fail("method must be common, ceil or floor");
  if (!number) fail("type {} doesn't define __round__ method", type_name(self));
  if (method == "common") {
    if (const auto whole = self.as_integer())
      return Value::integer(precision >= 0 ? *whole
                                           : static_cast<std::int64_t>(round_to(*number, precision)));
    return Value::real(round_to(*number, precision));
  }
  const Value scale =
      arithmetic(BinaryOperator::kPower, Value::integer(10), Value::integer(precision), runtime.budget);
  const double scaled = *number * *scale.as_number();
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / *scale.as_number());
}

Value filesizeformat(Runtime&, const Value& self, const Bound& arguments) {
  const auto bytes = to_float(self);
  if (!bytes) fail("could not convert to float: a {}", type_name(self));
  const bool binary = arguments.truth(0);
  const double base = binary ? 1024 : 1000;
  if (*bytes == 1) return Value::text("1 Byte");
  if (*bytes < base) return Value::text(fmt::format("{} Bytes", static_cast<std::int64_t>(*bytes)));
  constexpr std::string_view kLetters = "kMGTPEZY";
  double unit = base;
  std::size_t i = 0;
  for (; i + 1 < kLetters.size() && *bytes >= unit * base; ++i) unit *= base;
  const char letter = binary && i == 0 ? 'K' : kLetters[i];
  return Value::text(fmt::format("{:.1f} {}{}", *bytes / unit, letter, binary ? "iB" : "B"));
}

}  // namespace

const std::vector<Builtin>& number_filters() {
  static const std::vector<Builtin> filters = {
      {"abs", {}, 0, absolute},
      {"filesizeformat", {"binary"}, 0, filesizeformat},
      {"float", {"default"}, 0, real},
      {"int", {"default", "base"}, 0, integer},
      {"round", {"precision", "method"}, 0, round},
  };
  return filters;
}

}  // namespace farthing::tokenizer::jinja
