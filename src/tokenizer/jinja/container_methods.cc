// The methods of Python's dict, list and tuple that do not change them.
#include <algorithm>

#include "tokenizer/jinja/builtin.h"
#include "tokenizer/jinja/operators.h"

namespace farthing::tokenizer::jinja {
namespace {

template <Sequence::Flavor flavor>
Value view(Runtime&, const Value& self, const Bound&) {
  std::vector<Value> items;
  for (const auto& [key, value] : self.as_dict()->entries) {
    items.push_back(flavor == Sequence::Flavor::kKeys     ? key
                    : flavor == Sequence::Flavor::kValues ? value
                                                          : Value::tuple({key, value}));
  }
  return Value::sequence({flavor, std::move(items)});
}

Value get(Runtime& runtime, const Value& self, const Bound& arguments) {
  const Value* found = find_key(*self.as_dict(), arguments.value(0), runtime.budget);
  return found ? *found : arguments.value(1);
}

Value copy(Runtime&, const Value& self, const Bound&) {
  return self;
}

Value count(Runtime& runtime, const Value& self, const Bound& arguments) {
  const auto& items = self.as_sequence()->items;
  const Value wanted = arguments.value(0);
  return Value::integer(std::count_if(
      items.begin(), items.end(), [&](const Value& item) { return equal(item, wanted, runtime.budget); }));
}

Value index(Runtime& runtime, const Value& self, const Bound& arguments) {
  const auto& items = self.as_sequence()->items;
  const Value wanted = arguments.value(0);
  const auto found = std::find_if(items.begin(), items.end(),
                                  [&](const Value& item) { return equal(item, wanted, runtime.budget); });
  if (found == items.end()) fail("the value is not in the {}", type_name(self));
  return Value::integer(found - items.begin());
}

}  // namespace

const std::vector<Builtin>& dict_methods() {
  static const std::vector<Builtin> methods = {
      {"copy", {}, 0, copy},
      {"get", {"key", "default"}, 1, get},
      {"items", {}, 0, view<Sequence::Flavor::kItems>},
      {"keys", {}, 0, view<Sequence::Flavor::kKeys>},
      {"values", {}, 0, view<Sequence::Flavor::kValues>},
  };
  return methods;
}

const std::vector<Builtin>& sequence_methods() {
  static const std::vector<Builtin> methods = {
      {"copy", {}, 0, copy},
      {"count", {"value"}, 1, count},
      {"index", {"value"}, 1, index},
  };
  return methods;
}

}  // namespace farthing::tokenizer::jinja
