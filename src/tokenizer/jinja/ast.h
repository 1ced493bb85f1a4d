// The syntax tree of a template. It never changes after parsing, so renderings on many threads may share it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "tokenizer/jinja/operators.h"
#include "tokenizer/jinja/value.h"

namespace farthing::tokenizer::jinja {

struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<const Expression>;
using Body = std::vector<Statement>;

// ---- expressions ----

struct Literal {
  Value value;
};
struct Name {
  std::string name;
};
struct ListDisplay {
  std::vector<ExpressionPtr> items;
};
struct TupleDisplay {
  std::vector<ExpressionPtr> items;
};
struct DictDisplay {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};
enum class UnaryOperator { kNot, kNegate, kAffirm };
struct Unary {
  UnaryOperator op;
  ExpressionPtr operand;
};
struct Binary {
  BinaryOperator op;
  ExpressionPtr left, right;
};
struct Logical {  // and, or: gives the operand that decides
  bool is_and;
  ExpressionPtr left, right;
};
struct Comparison {  // a < b <= c
  ExpressionPtr first;
  std::vector<std::pair<Comparator, ExpressionPtr>> rest;
};
struct Concatenation {  // a ~ b ~ c
  std::vector<ExpressionPtr> parts;
};
struct Conditional {  // yes if test else no
  ExpressionPtr test, yes;
  ExpressionPtr no;  // null: undefined
};
struct Attribute {
  ExpressionPtr object;
  std::string name;
};
struct Subscript {
  ExpressionPtr object, key;
};
struct Slice {
  ExpressionPtr object;
  ExpressionPtr begin, end, step;  // null where left out
};
struct CallArguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr spread, named_spread;  // *args, **kwargs; null when absent
};
struct Call {
  ExpressionPtr callee;
  CallArguments arguments;
};
struct Filter {
  ExpressionPtr input;  // null: the text of the block around it
  std::string name;
  CallArguments arguments;
};
struct Test {
  ExpressionPtr input;
  std::string name;
  CallArguments arguments;
};

struct Expression {
  int line;
  std::variant<Literal, Name, ListDisplay, TupleDisplay, DictDisplay, Unary, Binary, Logical, Comparison,
               Concatenation, Conditional, Attribute, Subscript, Slice, Call, Filter, Test>
      node;
};

// ---- statements ----

/// What can stand left of an assignment: a name, an attribute of a namespace, or a tuple of such.
struct Target {
  std::string name;
  std::string attribute;      // of the namespace `name`; empty for a plain name
  std::vector<Target> parts;  // of a tuple; `name` is empty then
  bool is_tuple = false;
};

struct TextOutput {
  std::string text;
};
struct ExpressionOutput {
  ExpressionPtr value;
};
struct Set {
  Target target;
  ExpressionPtr value;
};
struct SetBlock {  // {% set x | filter %}...{% endset %}
  Target target;
  ExpressionPtr filter;  // innermost Filter has no input; null without filters
  Body body;
};
struct If {
  std::vector<std::pair<ExpressionPtr, Body>> branches;
  Body otherwise;
};
struct For {
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr condition;  // null without `if`
  bool recursive;
  Body body;
  Body otherwise;  // when there was no item
};
struct Signature {
  std::vector<std::string> parameters;
  std::vector<ExpressionPtr> defaults;  // of the last parameters
  bool uses_varargs = false;            // the body mentions the name, so extra arguments are welcome
  bool uses_kwargs = false;
  bool uses_caller = false;
};
struct MacroDefinition {
  std::string name;
  Signature signature;
  Body body;
};
struct CallBlock {  // {% call(parameters) macro(arguments) %}...{% endcall %}
  Signature signature;
  ExpressionPtr call;
  Body body;
};
struct FilterBlock {
  ExpressionPtr filter;
  Body body;
};
struct With {
  std::vector<std::pair<Target, ExpressionPtr>> assignments;
  Body body;
};
struct Block {    // {% block %} and {% generation %}: the body as it is, in a scope of its own
  bool isolated;  // sees the variables of the template only, not those of a loop around it
  Body body;
};
struct Break {};
struct Continue {};

struct Statement {
  int line;
  std::variant<TextOutput, ExpressionOutput, Set, SetBlock, If, For, MacroDefinition, CallBlock, FilterBlock,
               With, Block, Break, Continue>
      node;
};

}  // namespace farthing::tokenizer::jinja
