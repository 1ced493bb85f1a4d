// The functions that every template can call: Jinja's own, and the two that transformers adds.
#include <ctime>

#include "tokenizer/jinja/builtin.h"
#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/print.h"
#include "tokenizer/jinja/text.h"

namespace farthing::tokenizer::jinja {
namespace {

constexpr std::int64_t kMaxRange = 100'000;  // Jinja's sandbox has the same

Value range(Runtime& runtime, const Value&, const Bound& arguments) {
  const std::int64_t first = arguments.given(1) ? arguments.integer(0) : 0;
  const std::int64_t stop = arguments.integer(arguments.given(1) ? 1 : 0);
  const std::int64_t step = arguments.integer(2, 1);
  if (step == 0) fail("range() arg 3 must not be zero");
  std::vector<Value> items;
  for (std::int64_t value = first; step > 0 ? value < stop : value > stop;) {
    if (static_cast<std::int64_t>(items.size()) == kMaxRange) {
      fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).", kMaxRange);
    }
    runtime.budget.charge(sizeof(Value));
    items.push_back(Value::integer(value));
    if (__builtin_add_overflow(value, step, &value)) break;
  }
  return Value::sequence({Sequence::Flavor::kRange, std::move(items)});
}

// The arguments of dict() and namespace(): a dict or pairs, then names.
Value dict(Runtime& runtime, const Value&, const Bound& arguments) {
  const Arguments& all = arguments.all();
  if (all.positional.size() > 1) fail("dict expected at most 1 argument, got {}", all.positional.size());
  std::vector<std::pair<Value, Value>> entries;
  if (!all.positional.empty() && all.positional[0].as_dict()) {
    entries = all.positional[0].as_dict()->entries;
  } else if (!all.positional.empty()) {
    for (const Value& pair : drain(all.positional[0], runtime.budget)) {
      const std::vector<Value> parts = drain(pair, runtime.budget);
      if (parts.size() != 2)
        fail("dictionary update sequence element has length {}; 2 is required", parts.size());
      entries.emplace_back(parts[0], parts[1]);
    }
  }
  for (const auto& [name, value] : all.named) entries.emplace_back(Value::text(name), value);
  return make_dict(std::move(entries), runtime.budget);
}

Value make_namespace(Runtime& runtime, const Value& self, const Bound& arguments) {
  const Value attributes = dict(runtime, self, arguments);
  const std::shared_ptr<Namespace> result = runtime.arena.make_namespace(runtime.budget);
  for (const auto& [name, value] : attributes.as_dict()->entries) {
    runtime.budget.charge(attributes.as_dict()->entries.size());
    result->set(str(name, runtime.budget), value);
  }
  return Value::object(result);
}

// cycler('odd', 'even'): each next() gives the next value.
class Cycler : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(Value items) : items_(std::move(items)) {}
  std::string_view type_name() const override { return "Cycler"; }
  int nesting() const override { return items_.nesting(); }
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override;

  const Value& current() const { return items_.as_sequence()->items[position_]; }
  void move_to(std::size_t position) { position_ = position % items_.as_sequence()->items.size(); }
  std::size_t position() const { return position_; }

 private:
  Value items_;
  std::size_t position_ = 0;
};

Cycler& as_cycler(const Value& self) {
  return static_cast<Cycler&>(*self.as_object());
}

Value next_in_cycle(Runtime&, const Value& self, const Bound&) {
  Cycler& cycler = as_cycler(self);
  Value current = cycler.current();
  cycler.move_to(cycler.position() + 1);
  return current;
}

Value reset_cycle(Runtime&, const Value& self, const Bound&) {
  as_cycler(self).move_to(0);
  return Value::none();
}

std::optional<Value> Cycler::attribute(Runtime&, std::string_view name) {
  static const Builtin next = {"next", {}, 0, next_in_cycle};
  static const Builtin reset = {"reset", {}, 0, reset_cycle};
  if (name == "current") return current();
  if (name == "next") return make_function(next, Value::object(shared_from_this()));
  if (name == "reset") return make_function(reset, Value::object(shared_from_this()));
  return {};
}

Value make_cycler(Runtime&, const Value&, const Bound& arguments) {
  if (arguments.all().positional.empty()) fail("at least one item has to be provided");
  return Value::object(std::make_shared<Cycler>(Value::tuple(arguments.all().positional)));
}

// joiner(', '): nothing on the first call, the separator on all others.
class Joiner : public Object {
 public:
  explicit Joiner(std::string separator) : separator_(std::move(separator)) {}
  std::string_view type_name() const override { return "Joiner"; }
  bool callable() const override { return true; }
  Value call(Runtime&, Arguments) override {
    return Value::text(std::exchange(used_, true) ? separator_ : "");
  }

 private:
  std::string separator_;
  bool used_ = false;
};

Value make_joiner(Runtime&, const Value&, const Bound& arguments) {
  return Value::object(std::make_shared<Joiner>(arguments.text(0, ", ")));
}

Value raise_exception(Runtime& runtime, const Value&, const Bound& arguments) {
  throw Failure{str(arguments.value(0), runtime.budget), true};
}

// The clock of the wall: `now` is shown as it is, the real clock in local time.
std::tm calendar(const std::optional<std::chrono::sys_seconds>& now) {
  std::tm calendar{};
  const std::time_t seconds = std::chrono::system_clock::to_time_t(
      now.value_or(std::chrono::time_point_cast<std::chrono::seconds>(std::chrono::system_clock::now())));
  if (now) {
    gmtime_r(&seconds, &calendar);
  } else {
    localtime_r(&seconds, &calendar);
  }
  return calendar;
}

// datetime.strftime of a time without a zone: what C gives, but no zone (%z, %Z) and microseconds as zeros
// (%f).
Value strftime_now(Runtime& runtime, const Value&, const Bound& arguments) {
  const std::string given = arguments.text(0);
  std::string format;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (given[i] != '%' || i + 1 == given.size()) {
      format += given[i] == '%' ? "%%" : std::string(1, given[i]);
      continue;
    }
    const char code = given[++i];
    if (code == 'f') format += "000000";
    if (code != 'f' && code != 'z' && code != 'Z') format += {'%', code};
  }
  const std::tm time = calendar(runtime.now);
  std::string out(given.size() * 32 + 256, '\0');
  runtime.budget.charge(out.size());
  out.resize(std::strftime(out.data(), out.size(), format.c_str(), &time));
  return Value::text(std::move(out));
}

}  // namespace

const std::vector<Builtin>& globals() {
  static const std::vector<Builtin> functions = {
      {"cycler", {}, 0, make_cycler, true},
      {"dict", {}, 0, dict, true},
      {"joiner", {"sep"}, 0, make_joiner},
      {"namespace", {}, 0, make_namespace, true},
      {"raise_exception", {"message"}, 1, raise_exception},
      {"range", {"start", "stop", "step"}, 1, range},
      {"strftime_now", {"format"}, 1, strftime_now},
  };
  return functions;
}

}  // namespace farthing::tokenizer::jinja
