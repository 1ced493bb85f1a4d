// Walks the syntax tree of a template: evaluates its expressions, executes its statements, collects its text.
#pragma once

#include <memory>
#include <string>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/object.h"

namespace farthing::tokenizer::jinja {

/// One rendering. Its tree and runtime outlive it. Throws Failure for what Python would answer with an
/// exception, Error (kResources) beyond the budget.
class Interpreter {
 public:
  /// `globals` holds the variables that the template is given.
  Interpreter(Runtime& runtime, std::shared_ptr<Scope> globals)
      : runtime_(runtime), globals_(globals), scope_(std::move(globals)) {}

  /// The text of a whole template.
  std::string run(const Body& body) { return capture(body, scope_).text; }

  /// Where the last evaluation took place.
  int line() const { return line_; }

  /// Binds `arguments` to the parameters and gives the text of `body`; names are looked up in `closure`.
  Value call_macro(const std::string& name, const Signature& signature, const Body& body,
                   const std::shared_ptr<Scope>& closure, const Arguments& arguments);

 private:
  enum class Flow { kNormal, kBreak, kContinue };

  struct Captured {
    std::string text;
    Flow flow;
  };

  class InScope;

  // Expressions: see evaluate.cc.
  Value evaluate(const Expression& expression);
  Value evaluate_or_none(const ExpressionPtr& expression) {
    return expression ? evaluate(*expression) : Value::none();
  }
  Arguments evaluate(const CallArguments& arguments);
  Value call(const Value& callee, Arguments arguments);
  Value visit(const Literal& node) { return node.value; }
  Value visit(const Name& node);
  Value visit(const ListDisplay& node);
  Value visit(const TupleDisplay& node);
  Value visit(const DictDisplay& node);
  Value visit(const Unary& node);
  Value visit(const Binary& node);
  Value visit(const Logical& node);
  Value visit(const Comparison& node);
  Value visit(const Concatenation& node);
  Value visit(const Conditional& node);
  Value visit(const Attribute& node);
  Value visit(const Subscript& node);
  Value visit(const Slice& node);
  Value visit(const Call& node);
  Value visit(const Filter& node);
  Value visit(const Test& node);

  // Statements: see execute.cc.
  Flow execute(const Body& body);
  Captured capture(const Body& body, std::shared_ptr<Scope> scope);
  void put(std::string_view text);
  void assign(const Target& target, const Value& value);
  Value filtered(const ExpressionPtr& filter, std::string text);
  Flow run_loop(const For& node, const Value& iterable, int depth, const std::shared_ptr<Scope>& outer);
  Iterator selected(const For& node, const Value& iterable, const std::shared_ptr<Scope>& outer);
  Value make_macro(const std::string& name, const Signature& signature, const Body& body);
  Flow visit(const TextOutput& node);
  Flow visit(const ExpressionOutput& node);
  Flow visit(const Set& node);
  Flow visit(const SetBlock& node);
  Flow visit(const If& node);
  Flow visit(const For& node);
  Flow visit(const MacroDefinition& node);
  Flow visit(const CallBlock& node);
  Flow visit(const FilterBlock& node);
  Flow visit(const With& node);
  Flow visit(const Block& node);
  Flow visit(const Break&) { return Flow::kBreak; }
  Flow visit(const Continue&) { return Flow::kContinue; }

  Runtime& runtime_;
  std::shared_ptr<Scope> globals_;
  std::shared_ptr<Scope> scope_;
  std::string* output_ = nullptr;
  Value block_text_;  // what a filter without an input works on
  int line_ = 0;
};

}  // namespace farthing::tokenizer::jinja
