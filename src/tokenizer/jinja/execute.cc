// The interpreter's half for statements.
#include <algorithm>

#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/jinja/loop.h"
#include "tokenizer/jinja/print.h"

namespace farthing::tokenizer::jinja {
namespace {

class Macro : public Object {
 public:
  Macro(Interpreter& interpreter, std::string name, const Signature& signature, const Body& body,
        std::shared_ptr<Scope> closure)
      : interpreter_(interpreter),
        name_(std::move(name)),
        signature_(signature),
        body_(body),
        closure_(std::move(closure)) {}

  std::string_view type_name() const override { return "Macro"; }
  std::string describe(Budget&) const override { return fmt::format("<Macro '{}'>", name_); }
  bool callable() const override { return true; }

  Value call(Runtime&, Arguments arguments) override {
    return interpreter_.call_macro(name_, signature_, body_, closure_, arguments);
  }

  std::optional<Value> attribute(Runtime&, std::string_view name) override {
    if (name == "name") return Value::text(name_);
    if (name != "arguments") return {};
    std::vector<Value> parameters;
    for (const std::string& parameter : signature_.parameters) parameters.push_back(Value::text(parameter));
    return Value::tuple(std::move(parameters));
  }

 private:
  Interpreter& interpreter_;
  std::string name_;
  const Signature& signature_;
  const Body& body_;
  std::shared_ptr<Scope> closure_;
};

// The named arguments of a call, and which of them have found their parameter.
class NamedArguments {
 public:
  explicit NamedArguments(const Arguments& arguments)
      : entries_(arguments.named), taken_(arguments.named.size(), false) {}

  /// The argument of this name, or null; it counts as taken from now on.
  const Value* take(std::string_view name) {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].first != name || taken_[i]) continue;
      taken_[i] = true;
      return &entries_[i].second;
    }
    return nullptr;
  }

  std::vector<std::pair<Value, Value>> rest() const {
    std::vector<std::pair<Value, Value>> rest;
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      if (!taken_[i]) rest.emplace_back(Value::text(entries_[i].first), entries_[i].second);
    }
    return rest;
  }

 private:
  const std::vector<std::pair<std::string, Value>>& entries_;
  std::vector<bool> taken_;
};

}  // namespace

// Makes another scope the current one for a while.
class Interpreter::InScope {
 public:
  InScope(Interpreter& interpreter, std::shared_ptr<Scope> scope)
      : interpreter_(interpreter), outer_(std::exchange(interpreter.scope_, std::move(scope))) {}
  ~InScope() { interpreter_.scope_ = std::move(outer_); }
  InScope(const InScope&) = delete;
  InScope& operator=(const InScope&) = delete;

 private:
  Interpreter& interpreter_;
  std::shared_ptr<Scope> outer_;
};

Interpreter::Flow Interpreter::execute(const Body& body) {
  const Budget::Level level(runtime_.budget);
  for (const Statement& statement : body) {
    runtime_.budget.step();
    line_ = statement.line;
    const Flow flow = std::visit([this](const auto& node) { return visit(node); }, statement.node);
    if (flow != Flow::kNormal) return flow;
  }
  return Flow::kNormal;
}

Interpreter::Captured Interpreter::capture(const Body& body, std::shared_ptr<Scope> scope) {
  const InScope inner(*this, std::move(scope));
  Captured captured;
  std::string* outer = std::exchange(output_, &captured.text);
  try {
    captured.flow = execute(body);
  } catch (...) {
    output_ = outer;
    throw;
  }
  output_ = outer;
  return captured;
}

void Interpreter::put(std::string_view text) {
  runtime_.budget.charge(text.size());
  Budget::check_output(output_->size() + text.size());
  *output_ += text;
}

void Interpreter::assign(const Target& target, const Value& value) {
  if (!target.attribute.empty()) {
    const Value* holder = scope_->find(target.name, runtime_.budget);
    auto* space = holder ? dynamic_cast<Namespace*>(holder->as_object()) : nullptr;
    if (!space) fail("cannot assign attribute on non-namespace object");
    space->set(target.attribute, value);
    return;
  }
  if (!target.is_tuple) {
    scope_->set(target.name, value);
    return;
  }
  if (!is_iterable(value)) fail("cannot unpack non-iterable {} object", type_name(value));
  const std::vector<Value> items = drain(value, runtime_.budget);
  if (items.size() > target.parts.size())
    fail("too many values to unpack (expected {})", target.parts.size());
  if (items.size() < target.parts.size())
    fail("not enough values to unpack (expected {}, got {})", target.parts.size(), items.size());
  for (std::size_t i = 0; i < items.size(); ++i) assign(target.parts[i], items[i]);
}

Value Interpreter::filtered(const ExpressionPtr& filter, std::string text) {
  if (!filter) return Value::text(std::move(text));
  block_text_ = Value::text(std::move(text));
  return evaluate(*filter);
}

Interpreter::Flow Interpreter::visit(const TextOutput& node) {
  put(node.text);
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::visit(const ExpressionOutput& node) {
  put(str(evaluate(*node.value), runtime_.budget));
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::visit(const Set& node) {
  assign(node.target, evaluate(*node.value));
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::visit(const SetBlock& node) {
  Captured captured = capture(node.body, std::make_shared<Scope>(scope_));
  if (captured.flow == Flow::kNormal) assign(node.target, filtered(node.filter, std::move(captured.text)));
  return captured.flow;
}

Interpreter::Flow Interpreter::visit(const If& node) {
  for (const auto& [test, body] : node.branches) {
    if (evaluate(*test).truth()) return execute(body);
  }
  return execute(node.otherwise);
}

Interpreter::Flow Interpreter::visit(const For& node) {
  return run_loop(node, evaluate(*node.iterable), 0, scope_);
}

// The items of a loop, those that do not pass its condition left out.
Iterator Interpreter::selected(const For& node, const Value& iterable, const std::shared_ptr<Scope>& outer) {
  if (!node.condition) return iterate(iterable);
  return [this, &node, outer, next = iterate(iterable)]() -> std::optional<Value> {
    while (auto item = next()) {
      const InScope inner(*this, std::make_shared<Scope>(outer));
      assign(node.target, *item);
      if (evaluate(*node.condition).truth()) return item;
    }
    return {};
  };
}

Interpreter::Flow Interpreter::run_loop(const For& node, const Value& iterable, int depth,
                                        const std::shared_ptr<Scope>& outer) {
  Loop::Recursion recursion;
  if (node.recursive) {
    recursion = [this, &node, outer](const Value& items, int inner_depth) {
      std::string text;
      std::string* output = std::exchange(output_, &text);
      try {
        run_loop(node, items, inner_depth, outer);
      } catch (...) {
        output_ = output;
        throw;
      }
      output_ = output;
      return Value::text(std::move(text));
    };
  }
  const auto length = node.condition ? std::nullopt : length_of(iterable);
  const auto loop =
      std::make_shared<Loop>(iterable, selected(node, iterable, outer), length, depth, std::move(recursion));
  bool finished_one =
      false;  // an iteration cut short by break or continue does not count, as in Jinja itself
  while (loop->advance()) {
    runtime_.budget.step();
    const InScope inner(*this, std::make_shared<Scope>(outer));
    scope_->set("loop", Value::object(loop));
    assign(node.target, loop->item());
    const Flow flow = execute(node.body);
    finished_one = finished_one || flow == Flow::kNormal;
    if (flow == Flow::kBreak) break;
  }
  loop->finish();
  if (finished_one) return Flow::kNormal;
  const InScope inner(*this, std::make_shared<Scope>(outer));
  return execute(node.otherwise);
}

Value Interpreter::make_macro(const std::string& name, const Signature& signature, const Body& body) {
  runtime_.arena.keep(scope_, runtime_.budget);
  return Value::object(std::make_shared<Macro>(*this, name, signature, body, scope_));
}

Value Interpreter::call_macro(const std::string& name, const Signature& signature, const Body& body,
                              const std::shared_ptr<Scope>& closure, const Arguments& arguments) {
  const InScope inner(*this, std::make_shared<Scope>(closure));
  const auto& parameters = signature.parameters;
  const std::size_t first_default = parameters.size() - signature.defaults.size();
  NamedArguments named(arguments);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Value* given =
        i < arguments.positional.size() ? &arguments.positional[i] : named.take(parameters[i]);
    if (given) {
      scope_->set(parameters[i], *given);
    } else if (i >= first_default) {
      scope_->set(parameters[i], evaluate(*signature.defaults[i - first_default]));
    } else {
      scope_->set(parameters[i],
                  Value::undefined(fmt::format("parameter '{}' was not provided", parameters[i])));
    }
  }
  const bool caller_is_parameter =
      std::find(parameters.begin(), parameters.end(), "caller") != parameters.end();
  if (signature.uses_caller && !caller_is_parameter) {
    const Value* caller = named.take("caller");
    scope_->set("caller", caller ? *caller : Value::undefined("No caller defined"));
  }
  auto rest = named.rest();
  if (!rest.empty() && !signature.uses_kwargs) {
    fail("macro '{}' takes no keyword argument '{}'", name, str(rest[0].first, runtime_.budget));
  }
  if (signature.uses_kwargs) scope_->set("kwargs", make_dict(std::move(rest), runtime_.budget));
  const std::size_t used = std::min(arguments.positional.size(), parameters.size());
  if (arguments.positional.size() > used && !signature.uses_varargs) {
    fail("macro '{}' takes not more than {} argument(s)", name, parameters.size());
  }
  if (signature.uses_varargs) {
    const auto first_extra = arguments.positional.begin() + static_cast<std::ptrdiff_t>(used);
    scope_->set("varargs", Value::tuple({first_extra, arguments.positional.end()}));
  }
  return Value::text(capture(body, scope_).text);
}

Interpreter::Flow Interpreter::visit(const MacroDefinition& node) {
  scope_->set(node.name, make_macro(node.name, node.signature, node.body));
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::visit(const CallBlock& node) {
  const Call& target = std::get<Call>(node.call->node);
  const Value callee = evaluate(*target.callee);
  Arguments arguments = evaluate(target.arguments);
  arguments.named.emplace_back("caller", make_macro("caller", node.signature, node.body));
  put(str(call(callee, std::move(arguments)), runtime_.budget));
  return Flow::kNormal;
}

Interpreter::Flow Interpreter::visit(const FilterBlock& node) {
  Captured captured = capture(node.body, std::make_shared<Scope>(scope_));
  if (captured.flow == Flow::kNormal)
    put(str(filtered(node.filter, std::move(captured.text)), runtime_.budget));
  return captured.flow;
}

Interpreter::Flow Interpreter::visit(const With& node) {
  std::vector<Value> values;
  for (const auto& [target, value] : node.assignments) values.push_back(evaluate(*value));
  const InScope inner(*this, std::make_shared<Scope>(scope_));
  for (std::size_t i = 0; i < values.size(); ++i) assign(node.assignments[i].first, values[i]);
  return execute(node.body);
}

Interpreter::Flow Interpreter::visit(const Block& node) {
  const InScope inner(*this, std::make_shared<Scope>(node.isolated ? globals_ : scope_));
  return execute(node.body);
}

}  // namespace farthing::tokenizer::jinja
