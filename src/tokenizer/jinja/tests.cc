// The tests behind `is`, as in `{% if content is string %}`.
#include "tokenizer/jinja/builtin.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer::jinja {
namespace {

template <bool (*Holds)(const Value&)>
Value test(Runtime&, const Value& self, const Bound&) {
  return Value::boolean(Holds(self));
}

template <Comparator comparator>
Value compared(Runtime& runtime, const Value& self, const Bound& arguments) {
  return Value::boolean(compare(comparator, self, arguments.value(0), runtime.budget));
}

bool is_defined(const Value& value) {
  return !value.is_undefined();
}
bool is_undefined(const Value& value) {
  return value.is_undefined();
}
bool is_none(const Value& value) {
  return value.is_none();
}
bool is_boolean(const Value& value) {
  return value.as_boolean() != nullptr;
}
bool is_true(const Value& value) {
  return value.as_boolean() && *value.as_boolean();
}
bool is_false(const Value& value) {
  return value.as_boolean() && !*value.as_boolean();
}
bool is_integer(const Value& value) {
  return value.kind() == Kind::kInteger;
}
bool is_float(const Value& value) {
  return value.as_float() != nullptr;
}
bool is_number(const Value& value) {
  return value.as_number().has_value();
}
bool is_string(const Value& value) {
  return value.is_text();
}
bool is_mapping(const Value& value) {
  return value.as_dict() != nullptr;
}
bool is_escaped(const Value& value) {
  return value.is_text() && value.as_text()->markup;
}
bool is_callable(const Value& value) {
  return value.is_undefined() || (value.as_object() && value.as_object()->callable());
}

// What has a length and can be subscripted, which a dict and even undefined can, but no view of a dict.
bool is_sequence(const Value& value) {
  const Sequence* sequence = value.as_sequence();
  return sequence ? sequence->flavor <= Sequence::Flavor::kRange : length_of(value).has_value();
}

template <std::int64_t remainder>
Value parity(Runtime& runtime, const Value& self, const Bound&) {
  const Value rest = arithmetic(BinaryOperator::kModulo, self, Value::integer(2), runtime.budget);
  return Value::boolean(equal(rest, Value::integer(remainder), runtime.budget));
}

Value divisibleby(Runtime& runtime, const Value& self, const Bound& arguments) {
  const Value rest = arithmetic(BinaryOperator::kModulo, self, arguments.value(0), runtime.budget);
  return Value::boolean(equal(rest, Value::integer(0), runtime.budget));
}

template <bool (*Holds)(std::string_view)>
Value text_is(Runtime& runtime, const Value& self, const Bound&) {
  return Value::boolean(Holds(str(self, runtime.budget)));
}

Value sameas(Runtime&, const Value& self, const Bound& arguments) {
  return Value::boolean(self.same_as(arguments.value(0)));
}

Value names_filter(Runtime& runtime, const Value& self, const Bound&) {
  return Value::boolean(find_filter(str(self, runtime.budget)));
}
Value names_test(Runtime& runtime, const Value& self, const Bound&) {
  return Value::boolean(find_test(str(self, runtime.budget)));
}

}  // namespace

const std::vector<Builtin>& tests() {
  static const std::vector<Builtin> tests = {
      {"boolean", {}, 0, test<is_boolean>},
      {"callable", {}, 0, test<is_callable>},
      {"defined", {}, 0, test<is_defined>},
      {"divisibleby", {"num"}, 1, divisibleby},
      {"escaped", {}, 0, test<is_escaped>},
      {"even", {}, 0, parity<0>},
      {"false", {}, 0, test<is_false>},
      {"filter", {}, 0, names_filter},
      {"float", {}, 0, test<is_float>},
      {"in", {"seq"}, 1, compared<Comparator::kIn>},
      {"integer", {}, 0, test<is_integer>},
      {"iterable", {}, 0, test<is_iterable>},
      {"lower", {}, 0, text_is<is_all_lower>},
      {"mapping", {}, 0, test<is_mapping>},
      {"none", {}, 0, test<is_none>},
      {"number", {}, 0, test<is_number>},
      {"odd", {}, 0, parity<1>},
      {"sameas", {"other"}, 1, sameas},
      {"sequence", {}, 0, test<is_sequence>},
      {"string", {}, 0, test<is_string>},
      {"test", {}, 0, names_test},
      {"true", {}, 0, test<is_true>},
      {"undefined", {}, 0, test<is_undefined>},
      {"upper", {}, 0, text_is<is_all_upper>},
      // Comparisons go by several names, symbols included: select('==', 1).
      {"==", {"other"}, 1, compared<Comparator::kEqual>},
      {"eq", {"other"}, 1, compared<Comparator::kEqual>},
      {"equalto", {"other"}, 1, compared<Comparator::kEqual>},
      {"!=", {"other"}, 1, compared<Comparator::kNotEqual>},
      {"ne", {"other"}, 1, compared<Comparator::kNotEqual>},
      {"<", {"other"}, 1, compared<Comparator::kLess>},
      {"lt", {"other"}, 1, compared<Comparator::kLess>},
      {"lessthan", {"other"}, 1, compared<Comparator::kLess>},
      {"<=", {"other"}, 1, compared<Comparator::kLessEqual>},
      {"le", {"other"}, 1, compared<Comparator::kLessEqual>},
      {">", {"other"}, 1, compared<Comparator::kGreater>},
      {"gt", {"other"}, 1, compared<Comparator::kGreater>},
      {"greaterthan", {"other"}, 1, compared<Comparator::kGreater>},
      {">=", {"other"}, 1, compared<Comparator::kGreaterEqual>},
      {"ge", {"other"}, 1, compared<Comparator::kGreaterEqual>},
  };
  return tests;
}

}  // namespace farthing::tokenizer::jinja
