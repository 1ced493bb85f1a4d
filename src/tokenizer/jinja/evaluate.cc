// The interpreter's half for expressions.
#include "tokenizer/jinja/access.h"
#include "tokenizer/jinja/builtin.h"
#include "tokenizer/jinja/interpreter.h"
#include "tokenizer/jinja/print.h"

namespace farthing::tokenizer::jinja {

Value Interpreter::evaluate(const Expression& expression) {
  runtime_.budget.step();
  const Budget::Level level(runtime_.budget);
  line_ = expression.line;
  return std::visit([this](const auto& node) { return visit(node); }, expression.node);
}

Arguments Interpreter::evaluate(const CallArguments& arguments) {
  Arguments values;
  for (const ExpressionPtr& argument : arguments.positional) values.positional.push_back(evaluate(*argument));
  for (const auto& [name, argument] : arguments.named) values.named.emplace_back(name, evaluate(*argument));
  if (arguments.spread) {
    for (Value& value : drain(evaluate(*arguments.spread), runtime_.budget))
      values.positional.push_back(std::move(value));
  }
  if (arguments.named_spread) {
    const Value more = evaluate(*arguments.named_spread);
    if (!more.as_dict()) fail("argument after ** must be a mapping, not {}", type_name(more));
    for (const auto& [name, value] : more.as_dict()->entries)
      values.named.emplace_back(str(name, runtime_.budget), value);
  }
  return values;
}

Value Interpreter::call(const Value& callee, Arguments arguments) {
  if (callee.is_undefined()) fail("{}", callee.complaint());
  Object* object = callee.as_object();
  if (!object || !object->callable()) fail("'{}' object is not callable", type_name(callee));
  return object->call(runtime_, std::move(arguments));
}

Value Interpreter::visit(const Name& node) {
  if (const Value* value = scope_->find(node.name, runtime_.budget)) return *value;
  if (const Builtin* function = find_global(node.name)) return make_function(*function, Value::none());
  return Value::undefined(fmt::format("'{}' is undefined", node.name));
}

Value Interpreter::visit(const ListDisplay& node) {
  std::vector<Value> items;
  for (const ExpressionPtr& item : node.items) items.push_back(evaluate(*item));
  return Value::list(std::move(items));
}

Value Interpreter::visit(const TupleDisplay& node) {
  std::vector<Value> items;
  for (const ExpressionPtr& item : node.items) items.push_back(evaluate(*item));
  return Value::tuple(std::move(items));
}

Value Interpreter::visit(const DictDisplay& node) {
  std::vector<std::pair<Value, Value>> entries;
  for (const auto& [key, value] : node.entries) {
    Value name = evaluate(*key);
    entries.emplace_back(std::move(name), evaluate(*value));
  }
  return make_dict(std::move(entries), runtime_.budget);
}

Value Interpreter::visit(const Unary& node) {
  const Value operand = evaluate(*node.operand);
  switch (node.op) {
    case UnaryOperator::kNot:
      return Value::boolean(!operand.truth());
    case UnaryOperator::kNegate:
      return negate(operand);
    case UnaryOperator::kAffirm:
      return affirm(operand);
  }
  return {};
}

Value Interpreter::visit(const Binary& node) {
  const Value left = evaluate(*node.left);
  return arithmetic(node.op, left, evaluate(*node.right), runtime_.budget);
}

Value Interpreter::visit(const Logical& node) {
  Value left = evaluate(*node.left);
  return left.truth() == node.is_and ? evaluate(*node.right) : left;
}

Value Interpreter::visit(const Comparison& node) {
  Value left = evaluate(*node.first);
  for (const auto& [comparator, operand] : node.rest) {
    Value right = evaluate(*operand);
    if (!compare(comparator, left, right, runtime_.budget)) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Value Interpreter::visit(const Concatenation& node) {
  std::string text;
  for (const ExpressionPtr& part : node.parts) {
    const std::string piece = str(evaluate(*part), runtime_.budget);
    runtime_.budget.charge(piece.size());
    text += piece;
  }
  return Value::text(std::move(text));
}

Value Interpreter::visit(const Conditional& node) {
  if (evaluate(*node.test).truth()) return evaluate(*node.yes);
  if (node.no) return evaluate(*node.no);
  return Value::undefined("the inline if-expression evaluated to false and no else section was defined.");
}

Value Interpreter::visit(const Attribute& node) {
  return get_attribute(runtime_, evaluate(*node.object), node.name);
}

Value Interpreter::visit(const Subscript& node) {
  const Value object = evaluate(*node.object);
  return get_item(runtime_, object, evaluate(*node.key));
}

Value Interpreter::visit(const Slice& node) {
  const Value object = evaluate(*node.object);
  const Value begin = evaluate_or_none(node.begin);
  const Value end = evaluate_or_none(node.end);
  return get_slice(runtime_, object, begin, end, evaluate_or_none(node.step));
}

Value Interpreter::visit(const Call& node) {
  const Value callee = evaluate(*node.callee);
  return call(callee, evaluate(node.arguments));
}

Value Interpreter::visit(const Filter& node) {
  const Value input = node.input ? evaluate(*node.input) : block_text_;
  return apply_filter(runtime_, node.name, input, evaluate(node.arguments));
}

Value Interpreter::visit(const Test& node) {
  const Value input = evaluate(*node.input);
  return Value::boolean(apply_test(runtime_, node.name, input, evaluate(node.arguments)));
}

}  // namespace farthing::tokenizer::jinja
