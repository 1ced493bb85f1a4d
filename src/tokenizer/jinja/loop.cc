#include "tokenizer/jinja/loop.h"

#include <algorithm>

#include "tokenizer/jinja/builtin.h"
#include "tokenizer/jinja/operators.h"

namespace farthing::tokenizer::jinja {
namespace {

Loop& as_loop(const Value& self) {
  return static_cast<Loop&>(*self.as_object());
}

Value cycle(Runtime&, const Value& self, const Bound& arguments) {
  return as_loop(self).cycle(arguments.all().positional);
}

Value changed(Runtime& runtime, const Value& self, const Bound& arguments) {
  return Value::boolean(as_loop(self).changed(Value::tuple(arguments.all().positional), runtime.budget));
}

bool holds_objects(const Value& value, Budget& budget) {
  budget.step();
  if (const Sequence* sequence = value.as_sequence()) {
    return std::any_of(sequence->items.begin(), sequence->items.end(),
                       [&](const Value& item) { return holds_objects(item, budget); });
  }
  if (const Dict* dict = value.as_dict()) {
    return std::any_of(dict->entries.begin(), dict->entries.end(),
                       [&](const auto& entry) { return holds_objects(entry.second, budget); });
  }
  return value.as_object() || value.as_generator();
}

}  // namespace

Loop::Loop(const Value& iterable, Iterator next, std::optional<std::size_t> length, int depth,
           Recursion recursion)
    : next_(std::move(next)),
      length_(length),
      depth_(depth),
      recursion_(std::move(recursion)),
      nesting_(nesting_above(iterable.nesting())) {}

bool Loop::advance() {
  std::optional<Value> item = has_after_ ? std::move(after_) : next_();
  has_after_ = false;
  if (!item) return false;
  ++index_;
  previous_ = std::exchange(current_, std::move(item));
  return true;
}

const std::optional<Value>& Loop::peek() {
  if (!has_after_) after_ = next_();
  has_after_ = true;
  return after_;
}

void Loop::finish() {
  next_ = [] { return std::optional<Value>(); };
  recursion_ = nullptr;
}

std::int64_t Loop::length(Budget& budget) {
  if (!length_) {
    std::vector<Value> rest;
    while (auto item = next_()) {
      budget.charge(2 * sizeof(Value));
      rest.push_back(std::move(*item));
    }
    length_ = static_cast<std::size_t>(index_ + 1) + rest.size() + (has_after_ && after_ ? 1 : 0);
    next_ = iterate(Value::list(std::move(rest)));
  }
  return static_cast<std::int64_t>(*length_);
}

std::string Loop::describe(Budget&) const {
  return fmt::format("<LoopContext {}/{}>", index_ + 1, length_.value_or(0));
}

std::optional<Value> Loop::attribute(Runtime& runtime, std::string_view name) {
  static const Builtin kCycle = {"cycle", {}, 0, jinja::cycle, true};
  static const Builtin kChanged = {"changed", {}, 0, jinja::changed, true};
  if (name == "index") return Value::integer(index_ + 1);
  if (name == "index0") return Value::integer(index_);
  if (name == "first") return Value::boolean(index_ == 0);
  if (name == "last") return Value::boolean(!peek());
  if (name == "length") return Value::integer(length(runtime.budget));
  if (name == "revindex") return Value::integer(length(runtime.budget) - index_);
  if (name == "revindex0") return Value::integer(length(runtime.budget) - index_ - 1);
  if (name == "previtem") return previous_ ? *previous_ : Value::undefined("there is no previous item");
  if (name == "nextitem") return peek() ? *peek() : Value::undefined("there is no next item");
  if (name == "depth") return Value::integer(depth_ + 1);
  if (name == "depth0") return Value::integer(depth_);
  if (name == "cycle") return make_function(kCycle, Value::object(shared_from_this()));
  if (name == "changed") return make_function(kChanged, Value::object(shared_from_this()));
  return {};
}

Value Loop::cycle(const std::vector<Value>& values) const {
  if (values.empty()) fail("no items for cycling given");
  return values[static_cast<std::size_t>(index_) % values.size()];
}

bool Loop::changed(const Value& values, Budget& budget) {
  // What is kept here must not lead back to this loop, or neither would ever be released.
  if (holds_objects(values, budget)) fail("loop.changed compares text, numbers, lists and dicts");
  if (last_changed_ && equal(*last_changed_, values, budget)) return false;
  last_changed_ = values;
  return true;
}

Value Loop::call(Runtime&, Arguments arguments) {
  if (!recursion_) fail("The loop must have the 'recursive' marker to be called recursively.");
  if (arguments.positional.size() != 1 || !arguments.named.empty()) fail("loop() takes the items to go over");
  return recursion_(arguments.positional[0], depth_ + 1);
}

}  // namespace farthing::tokenizer::jinja
