#include "tokenizer/jinja/builtin.h"

#include <algorithm>
#include <unordered_map>

#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer::jinja {
namespace {

constexpr std::size_t kItemBytes = 32;

using Table = std::unordered_map<std::string_view, const Builtin*>;

Table make_table(std::initializer_list<const std::vector<Builtin>*> parts) {
  Table table;
  for (const std::vector<Builtin>* part : parts) {
    for (const Builtin& builtin : *part) table.emplace(builtin.name, &builtin);
  }
  return table;
}

const Builtin* find(const Table& table, std::string_view name) {
  const auto entry = table.find(name);
  return entry == table.end() ? nullptr : entry->second;
}

// What a pass over the value itself costs, leaving out what its items hold.
std::size_t shallow_bytes(const Value& value) {
  if (const Text* text = value.as_text()) return text->bytes.size();
  if (const Sequence* sequence = value.as_sequence()) return sequence->items.size() * kItemBytes;
  if (const Dict* dict = value.as_dict()) return dict->entries.size() * kItemBytes;
  return 0;
}

// Methods of text that went through `safe` give safe text.
Value as_markup(const Value& value) {
  if (const Text* text = value.as_text()) return Value::text(text->bytes, true);
  const Sequence* sequence = value.as_sequence();
  if (!sequence) return value;
  std::vector<Value> items;
  for (const Value& item : sequence->items) items.push_back(as_markup(item));
  return Value::sequence({sequence->flavor, std::move(items)});
}

class Function : public Object {
 public:
  Function(const Builtin& builtin, Value receiver) : builtin_(builtin), receiver_(std::move(receiver)) {}
  std::string_view type_name() const override { return "builtin_function_or_method"; }
  std::string describe(Budget&) const override {
    return fmt::format("<built-in function {}>", builtin_.name);
  }
  bool callable() const override { return true; }
  Value call(Runtime& runtime, Arguments arguments) override {
    Value result = apply(runtime, builtin_, receiver_, arguments);
    return receiver_.is_text() && receiver_.as_text()->markup ? as_markup(result) : result;
  }
  int nesting() const override { return receiver_.nesting(); }

 private:
  const Builtin& builtin_;
  Value receiver_;
};

}  // namespace

Bound::Bound(const Builtin& builtin, const Arguments& arguments)
    : arguments_(arguments), slots_(builtin.parameters.size()) {
  if (builtin.variadic) return;
  if (arguments.positional.size() > slots_.size()) {
    fail("{}() takes at most {} arguments ({} given)", builtin.name, slots_.size(),
         arguments.positional.size());
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) slots_[i] = &arguments.positional[i];
  for (const auto& [name, value] : arguments.named) {
    const auto parameter = std::find(builtin.parameters.begin(), builtin.parameters.end(), name);
    if (parameter == builtin.parameters.end())
      fail("{}() got an unexpected keyword argument '{}'", builtin.name, name);
    const Value*& slot = slots_[static_cast<std::size_t>(parameter - builtin.parameters.begin())];
    if (slot) fail("{}() got multiple values for argument '{}'", builtin.name, name);
    slot = &value;
  }
  for (std::size_t i = 0; i < builtin.required; ++i) {
    if (!slots_[i]) fail("{}() missing required argument '{}'", builtin.name, builtin.parameters[i]);
  }
}

std::string Bound::text(std::size_t i, std::string_view otherwise) const {
  if (!slots_[i]) return std::string(otherwise);
  const Text* text = slots_[i]->as_text();
  if (!text) fail("expected str, not {}", jinja::type_name(*slots_[i]));
  return text->bytes;
}

std::int64_t Bound::integer(std::size_t i, std::int64_t otherwise) const {
  if (!slots_[i]) return otherwise;
  if (slots_[i]->is_undefined()) fail("{}", slots_[i]->complaint());
  const auto integer = slots_[i]->as_integer();
  if (!integer) fail("'{}' object cannot be interpreted as an integer", jinja::type_name(*slots_[i]));
  return *integer;
}

Value apply(Runtime& runtime, const Builtin& builtin, const Value& self, const Arguments& arguments) {
  runtime.budget.step();
  const Budget::Level level(runtime.budget);
  runtime.budget.charge(shallow_bytes(self));
  Value result = builtin.run(runtime, self, Bound(builtin, arguments));
  runtime.budget.charge(shallow_bytes(result));
  return result;
}

const Builtin* find_filter(std::string_view name) {
  static const Table table = make_table({&text_filters(), &number_filters(), &sequence_filters()});
  return find(table, name);
}

const Builtin* find_test(std::string_view name) {
  static const Table table = make_table({&tests()});
  return find(table, name);
}

const Builtin* find_global(std::string_view name) {
  static const Table table = make_table({&globals()});
  return find(table, name);
}

const Builtin* find_method(const Value& receiver, std::string_view name) {
  static const Table of_text = make_table({&text_methods()});
  static const Table of_dict = make_table({&dict_methods()});
  static const Table of_sequence = make_table({&sequence_methods()});
  if (receiver.is_text()) return find(of_text, name);
  if (receiver.as_dict()) return find(of_dict, name);
  const Sequence* sequence = receiver.as_sequence();
  if (!sequence || sequence->flavor > Sequence::Flavor::kRange) return nullptr;
  return name == "copy" && sequence->flavor != Sequence::Flavor::kList ? nullptr : find(of_sequence, name);
}

Value apply_filter(Runtime& runtime, std::string_view name, const Value& self, const Arguments& arguments) {
  const Builtin* filter = find_filter(name);
  if (!filter) fail("No filter named '{}'.", name);
  return apply(runtime, *filter, self, arguments);
}

bool apply_test(Runtime& runtime, std::string_view name, const Value& self, const Arguments& arguments) {
  const Builtin* test = find_test(name);
  if (!test) fail("No test named '{}'.", name);
  return apply(runtime, *test, self, arguments).truth();
}

Value make_function(const Builtin& builtin, Value receiver) {
  return Value::object(std::make_shared<Function>(builtin, std::move(receiver)));
}

}  // namespace farthing::tokenizer::jinja
