// The filters over lists, dicts and other iterables. Those that give a generator in Python give one here: its
// work is done when it is walked, which can happen once.
#include <algorithm>

#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/builtin.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer::jinja {
namespace {

Value lower_case(const Value& value) {
  return value.is_text() ? Value::text(to_lower(value.as_text()->bytes)) : value;
}

// The value that a filter looks at: the item itself or something inside it, small letters if case does not
// matter.
Value sort_key(Runtime& runtime, const Value& item, const Value& attribute, bool case_sensitive) {
  const Value value = get_path(runtime, item, attribute);
  return case_sensitive ? value : lower_case(value);
}

bool less(Runtime& runtime, const Value& left, const Value& right) {
  return compare(Comparator::kLess, left, right, runtime.budget);
}

// Stable; `keys` belong to `items` one to one.
std::vector<Value> sort_by(Runtime& runtime, std::vector<Value> items, const std::vector<Value>& keys,
                           bool reverse) {
  std::vector<std::size_t> order(items.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return reverse ? less(runtime, keys[b], keys[a]) : less(runtime, keys[a], keys[b]);
  });
  std::vector<Value> sorted;
  for (const std::size_t i : order) sorted.push_back(std::move(items[i]));
  return sorted;
}

// A generator over `source`, which also keeps the arguments.
Value generate(const Value& source, const Bound& arguments, Iterator next) {
  int nesting = source.nesting();
  for (const Value& value : arguments.all().positional) nesting = std::max(nesting, value.nesting());
  for (const auto& [name, value] : arguments.all().named) nesting = std::max(nesting, value.nesting());
  return Value::generator({std::move(next), nesting});
}

// ---- one item or one number out of many ----

Value length(Runtime&, const Value& self, const Bound&) {
  const auto length = length_of(self);
  if (!length) fail("object of type '{}' has no len()", type_name(self));
  return Value::integer(static_cast<std::int64_t>(*length));
}

Value first(Runtime&, const Value& self, const Bound&) {
  if (const auto item = iterate(self)()) return *item;
  return Value::undefined("No first item, sequence was empty.");
}

Value last(Runtime& runtime, const Value& self, const Bound&) {
  if (!length_of(self)) fail("'{}' object is not reversible", type_name(self));
  const std::vector<Value> items = drain(self, runtime.budget);
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

template <bool largest>
Value extreme(Runtime& runtime, const Value& self, const Bound& arguments) {
  std::optional<Value> best;
  Value best_key;
  const Iterator next = iterate(self);
  while (auto item = next()) {
    const Value key = sort_key(runtime, *item, arguments.value(1), arguments.truth(0));
    if (best && !(largest ? less(runtime, best_key, key) : less(runtime, key, best_key))) continue;
    best = std::move(item);
    best_key = key;
  }
  return best ? *best : Value::undefined("No aggregated item, sequence was empty.");
}

Value sum(Runtime& runtime, const Value& self, const Bound& arguments) {
  Value total = arguments.has(1) ? arguments.value(1) : Value::integer(0);
  const Iterator next = iterate(self);
  while (const auto item = next()) {
    total =
        arithmetic(BinaryOperator::kAdd, total, get_path(runtime, *item, arguments.value(0)), runtime.budget);
  }
  return total;
}

Value join(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string separator = arguments.has(0) ? str(arguments.value(0), runtime.budget) : "";
  std::string out;
  bool first = true;
  const Iterator next = iterate(self);
  while (const auto item = next()) {
    const std::string piece =
        (first ? "" : separator) + str(get_path(runtime, *item, arguments.value(1)), runtime.budget);
    runtime.budget.charge(piece.size() + sizeof(Value));
    out += piece;
    first = false;
  }
  return Value::text(std::move(out));
}

Value otherwise(Runtime&, const Value& self, const Bound& arguments) {
  const bool replaced = self.is_undefined() || (arguments.truth(1) && !self.truth());
  if (!replaced) return self;
  return arguments.given(0) ? arguments.value(0) : Value::text("");
}

Value attr(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::string name = arguments.text(0);
  if (!self.as_dict()) return get_attribute(runtime, self, name);
  // Unlike the dot, this never falls back to the entries of a dict.
  return get_attribute(runtime, Value::dict({}), name);
}

// ---- lists out of iterables ----

Value list(Runtime& runtime, const Value& self, const Bound&) {
  return Value::list(drain(self, runtime.budget));
}

Value reverse(Runtime& runtime, const Value& self, const Bound& arguments) {
  if (self.is_text()) return get_slice(runtime, self, Value::none(), Value::none(), Value::integer(-1));
  if (!is_iterable(self)) fail("argument must be iterable");
  std::vector<Value> items = drain(self, runtime.budget);
  std::reverse(items.begin(), items.end());
  const Value reversed = Value::list(std::move(items));
  return self.as_generator() ? reversed : generate(self, arguments, iterate(reversed));
}

Value sort(Runtime& runtime, const Value& self, const Bound& arguments) {
  const bool case_sensitive = arguments.truth(1);
  const Value attribute = arguments.value(2);
  std::vector<Value> paths = {attribute};
  if (const Text* text = attribute.as_text()) {
    paths.clear();
    for (const std::string_view path : split_at(text->bytes, ",", -1, false))
      paths.push_back(Value::text(path));
  }
  std::vector<Value> items = drain(self, runtime.budget);
  std::vector<Value> keys;
  for (const Value& item : items) {
    std::vector<Value> key;
    for (const Value& path : paths) key.push_back(sort_key(runtime, item, path, case_sensitive));
    keys.push_back(Value::list(std::move(key)));
  }
  return Value::list(sort_by(runtime, std::move(items), keys, arguments.truth(0)));
}

Value dictsort(Runtime& runtime, const Value& self, const Bound& arguments) {
  if (!self.as_dict()) fail("'{}' object has no attribute 'items'", type_name(self));
  const std::string by = arguments.text(1, "key");
  if (by != "key" && by != "value") fail("You can only sort by either \"key\" or \"value\"");
  std::vector<Value> items;
  std::vector<Value> keys;
  for (const auto& [key, value] : self.as_dict()->entries) {
    items.push_back(Value::tuple({key, value}));
    keys.push_back(arguments.truth(0) ? (by == "key" ? key : value) : lower_case(by == "key" ? key : value));
  }
  return Value::list(sort_by(runtime, std::move(items), keys, arguments.truth(2)));
}

Value groupby(Runtime& runtime, const Value& self, const Bound& arguments) {
  const auto key_of = [&](const Value& item, bool case_sensitive) {
    const Value key = get_path(runtime, item, arguments.value(0));
    const Value found = key.is_undefined() && arguments.has(1) ? arguments.value(1) : key;
    return case_sensitive ? found : lower_case(found);
  };
  std::vector<Value> items = drain(self, runtime.budget);
  std::vector<Value> keys;
  for (const Value& item : items) keys.push_back(key_of(item, arguments.truth(2)));
  items = sort_by(runtime, std::move(items), keys, false);

  std::vector<Value> groups;
  for (std::size_t i = 0; i < items.size();) {
    const Value key = key_of(items[i], arguments.truth(2));
    const Value shown = key_of(items[i], true);
    std::vector<Value> group;
    while (i < items.size() && equal(key_of(items[i], arguments.truth(2)), key, runtime.budget))
      group.push_back(items[i++]);
    groups.push_back(Value::sequence({Sequence::Flavor::kGroup, {shown, Value::list(std::move(group))}}));
  }
  return Value::list(std::move(groups));
}

// ---- generators ----

Value items(Runtime& runtime, const Value& self, const Bound& arguments) {
  return generate(self, arguments, [&runtime, self, next = Iterator()]() mutable -> std::optional<Value> {
    if (self.is_undefined()) return {};
    if (!self.as_dict()) fail("Can only get item pairs from a mapping.");
    if (!next) next = iterate(apply(runtime, *find_method(self, "items"), self, {}));
    return next();
  });
}

Value batch(Runtime& runtime, const Value& self, const Bound& arguments) {
  const auto size = static_cast<std::size_t>(std::max<std::int64_t>(arguments.integer(0), 1));
  const Value fill = arguments.value(1);
  return generate(self, arguments, [&runtime, size, fill, next = iterate(self)]() -> std::optional<Value> {
    std::vector<Value> items;
    while (items.size() < size) {
      auto item = next();
      if (!item) break;
      items.push_back(std::move(*item));
    }
    if (items.empty()) return {};
    if (!fill.is_none() && items.size() < size) {
      runtime.budget.charge((size - items.size()) * sizeof(Value));
      items.resize(size, fill);
    }
    return Value::list(std::move(items));
  });
}

Value slice(Runtime& runtime, const Value& self, const Bound& arguments) {
  const std::int64_t count = arguments.integer(0);
  if (count <= 0) fail("the number of slices has to be positive");
  const auto slices = static_cast<std::size_t>(count);
  const Value fill = arguments.value(1);
  return generate(self, arguments,
                  [all = drain(self, runtime.budget), slices, fill,
                   i = std::size_t{0}]() mutable -> std::optional<Value> {
                    if (i == slices) return {};
                    const std::size_t whole = all.size() / slices;
                    const std::size_t longer = all.size() % slices;  // the first ones have one item more
                    const std::size_t start = i * whole + std::min(i, longer);
                    const std::size_t end = start + whole + (i < longer ? 1 : 0);
                    std::vector<Value> part(all.begin() + static_cast<std::ptrdiff_t>(start),
                                            all.begin() + static_cast<std::ptrdiff_t>(end));
                    if (!fill.is_none() && i >= longer) part.push_back(fill);
                    ++i;
                    return Value::list(std::move(part));
                  });
}

Value unique(Runtime& runtime, const Value& self, const Bound& arguments) {
  const bool case_sensitive = arguments.truth(0);
  const Value attribute = arguments.value(1);
  return generate(self, arguments,
                  [&runtime, case_sensitive, attribute, next = iterate(self),
                   seen = std::vector<Value>()]() mutable -> std::optional<Value> {
                    while (auto item = next()) {
                      const Value key = sort_key(runtime, *item, attribute, case_sensitive);
                      require_hashable(key);
                      const bool known = std::any_of(seen.begin(), seen.end(), [&](const Value& other) {
                        return equal(other, key, runtime.budget);
                      });
                      if (known) continue;
                      seen.push_back(key);
                      return item;
                    }
                    return {};
                  });
}

// map('upper'), map('replace', 'a', 'b'), map(attribute='name', default='x')
std::function<Value(const Value&)> mapping(Runtime& runtime, const Arguments& arguments) {
  const auto named = [&](std::string_view name) {
    const auto found = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    return found == arguments.named.end() ? Value::none() : found->second;
  };
  if (arguments.positional.empty() && !named("attribute").is_none()) {
    for (const auto& [name, value] : arguments.named) {
      if (name != "attribute" && name != "default") fail("Unexpected keyword argument '{}'", name);
    }
    return [&runtime, attribute = named("attribute"), fallback = named("default")](const Value& item) {
      const Value found = get_path(runtime, item, attribute);
      return found.is_undefined() && !fallback.is_none() ? fallback : found;
    };
  }
  if (arguments.positional.empty()) fail("map requires a filter argument");
  Arguments rest{{arguments.positional.begin() + 1, arguments.positional.end()}, arguments.named};
  return [&runtime, name = str(arguments.positional[0], runtime.budget), rest](const Value& item) {
    return apply_filter(runtime, name, item, rest);
  };
}

Value map(Runtime& runtime, const Value& self, const Bound& arguments) {
  return generate(self, arguments,
                  [&runtime, self, given = arguments.all(), next = Iterator(),
                   change = std::function<Value(const Value&)>()]() mutable -> std::optional<Value> {
                    if (!self.truth()) return {};
                    if (!next) {
                      change = mapping(runtime, given);
                      next = iterate(self);
                    }
                    const auto item = next();
                    return item ? std::optional(change(*item)) : std::nullopt;
                  });
}

// select('odd'), selectattr('role', 'equalto', 'user') and their opposites.
template <bool by_attribute, bool wanted>
Value select(Runtime& runtime, const Value& self, const Bound& arguments) {
  return generate(
      self, arguments,
      [&runtime, self, given = arguments.all(), next = Iterator()]() mutable -> std::optional<Value> {
        if (!self.truth()) return {};
        if (!next) {
          if (by_attribute && given.positional.empty()) fail("Missing parameter for attribute name");
          next = iterate(self);
        }
        const std::size_t name_at = by_attribute ? 1 : 0;
        while (auto item = next()) {
          runtime.budget.step();
          const Value tested = by_attribute ? get_path(runtime, *item, given.positional[0]) : *item;
          bool holds = false;
          if (given.positional.size() > name_at) {
            const Arguments rest{
                {given.positional.begin() + static_cast<std::ptrdiff_t>(name_at) + 1, given.positional.end()},
                given.named};
            holds = apply_test(runtime, str(given.positional[name_at], runtime.budget), tested, rest);
          } else {
            holds = tested.truth();
          }
          if (holds == wanted) return item;
        }
        return {};
      });
}

}  // namespace

const std::vector<Builtin>& sequence_filters() {
  static const std::vector<Builtin> filters = {
      {"attr", {"name"}, 1, attr},
      {"batch", {"linecount", "fill_with"}, 1, batch},
      {"count", {}, 0, length},
      {"d", {"default_value", "boolean"}, 0, otherwise},
      {"default", {"default_value", "boolean"}, 0, otherwise},
      {"dictsort", {"case_sensitive", "by", "reverse"}, 0, dictsort},
      {"first", {}, 0, first},
      {"groupby", {"attribute", "default", "case_sensitive"}, 1, groupby},
      {"items", {}, 0, items},
      {"join", {"d", "attribute"}, 0, join},
      {"last", {}, 0, last},
      {"length", {}, 0, length},
      {"list", {}, 0, list},
      {"map", {}, 0, map, true},
      {"max", {"case_sensitive", "attribute"}, 0, extreme<true>},
      {"min", {"case_sensitive", "attribute"}, 0, extreme<false>},
      {"reject", {}, 0, select<false, false>, true},
      {"rejectattr", {}, 0, select<true, false>, true},
      {"reverse", {}, 0, reverse},
      {"select", {}, 0, select<false, true>, true},
      {"selectattr", {}, 0, select<true, true>, true},
      {"slice", {"slices", "fill_with"}, 1, slice},
      {"sort", {"reverse", "case_sensitive", "attribute"}, 0, sort},
      {"sum", {"attribute", "start"}, 0, sum},
      {"unique", {"case_sensitive", "attribute"}, 0, unique},
  };
  return filters;
}

}  // namespace farthing::tokenizer::jinja
