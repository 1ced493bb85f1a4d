#include "tokenizer/jinja/expression_parser.h"

#include <fmt/format.h>

#include "tokenizer/jinja/numbers.h"

namespace farthing::tokenizer::jinja {
namespace {

template <typename Node>
ExpressionPtr make(int line, Node node) {
  return std::make_unique<const Expression>(Expression{line, std::move(node)});
}

struct ComparatorName {
  std::string_view symbol;
  Comparator comparator;
};

constexpr ComparatorName kComparators[] = {{"==", Comparator::kEqual},  {"!=", Comparator::kNotEqual},
                                           {"<", Comparator::kLess},    {"<=", Comparator::kLessEqual},
                                           {">", Comparator::kGreater}, {">=", Comparator::kGreaterEqual}};

}  // namespace

ExpressionPtr ExpressionParser::expression(bool with_conditional) {
  const TokenStream::Nest nest(tokens_);
  ExpressionPtr node = or_level();
  while (with_conditional && tokens_.is_name("if")) {
    tokens_.deepen();
    const int line = tokens_.next().line;
    ExpressionPtr test = or_level();
    ExpressionPtr no = tokens_.accept_name("else") ? expression() : nullptr;
    node = make(line, Conditional{std::move(test), std::move(node), std::move(no)});
  }
  return node;
}

ExpressionPtr ExpressionParser::tuple(bool with_conditional, std::string_view ends_at) {
  const int line = tokens_.line();
  const auto ends = [&] {
    return tokens_.is(TokenKind::kVariableEnd) || tokens_.is(TokenKind::kBlockEnd) ||
           tokens_.is_operator(")") || (!ends_at.empty() && tokens_.is_name(ends_at));
  };
  std::vector<ExpressionPtr> items;
  bool is_tuple = false;
  while (!ends()) {
    items.push_back(expression(with_conditional));
    if (!tokens_.accept_operator(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return make(line, TupleDisplay{std::move(items)});
  if (items.empty())
    tokens_.fail(fmt::format("Expected an expression, got '{}'", TokenStream::describe(tokens_.current())));
  return std::move(items[0]);
}

ExpressionPtr ExpressionParser::or_level() {
  ExpressionPtr node = and_level();
  while (tokens_.is_name("or")) {
    tokens_.deepen();
    const int line = tokens_.next().line;
    node = make(line, Logical{false, std::move(node), and_level()});
  }
  return node;
}

ExpressionPtr ExpressionParser::and_level() {
  ExpressionPtr node = not_level();
  while (tokens_.is_name("and")) {
    tokens_.deepen();
    const int line = tokens_.next().line;
    node = make(line, Logical{true, std::move(node), not_level()});
  }
  return node;
}

ExpressionPtr ExpressionParser::not_level() {
  if (!tokens_.is_name("not")) return comparison();
  const TokenStream::Nest nest(tokens_);
  const int line = tokens_.next().line;
  return make(line, Unary{UnaryOperator::kNot, not_level()});
}

ExpressionPtr ExpressionParser::comparison() {
  const int line = tokens_.line();
  ExpressionPtr first = sum();
  std::vector<std::pair<Comparator, ExpressionPtr>> rest;
  const auto next_comparator = [&]() -> std::optional<Comparator> {
    for (const auto& [symbol, comparator] : kComparators) {
      if (tokens_.accept_operator(symbol)) return comparator;
    }
    if (tokens_.accept_name("in")) return Comparator::kIn;
    if (!tokens_.is_name("not") || tokens_.look().kind != TokenKind::kName || tokens_.look().text != "in")
      return {};
    tokens_.next();
    tokens_.next();
    return Comparator::kNotIn;
  };
  while (const auto comparator = next_comparator()) rest.emplace_back(*comparator, sum());
  if (rest.empty()) return first;
  return make(line, Comparison{std::move(first), std::move(rest)});
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr node = concatenation();
  while (tokens_.is_operator("+") || tokens_.is_operator("-")) {
    tokens_.deepen();
    const Token& token = tokens_.next();
    const BinaryOperator op = token.text == "+" ? BinaryOperator::kAdd : BinaryOperator::kSubtract;
    node = make(token.line, Binary{op, std::move(node), concatenation()});
  }
  return node;
}

ExpressionPtr ExpressionParser::concatenation() {
  const int line = tokens_.line();
  ExpressionPtr first = product();
  if (!tokens_.is_operator("~")) return first;
  std::vector<ExpressionPtr> parts;
  parts.push_back(std::move(first));
  while (tokens_.accept_operator("~")) parts.push_back(product());
  return make(line, Concatenation{std::move(parts)});
}

ExpressionPtr ExpressionParser::product() {
  ExpressionPtr node = power();
  while (tokens_.is_operator("*") || tokens_.is_operator("/") || tokens_.is_operator("//") ||
         tokens_.is_operator("%")) {
    tokens_.deepen();
    const Token& token = tokens_.next();
    const BinaryOperator op = token.text == "*"    ? BinaryOperator::kMultiply
                              : token.text == "/"  ? BinaryOperator::kDivide
                              : token.text == "//" ? BinaryOperator::kFloorDivide
                                                   : BinaryOperator::kModulo;
    node = make(token.line, Binary{op, std::move(node), power()});
  }
  return node;
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr node = unary(true);
  while (tokens_.is_operator("**")) {
    tokens_.deepen();
    const int line = tokens_.next().line;
    node = make(line, Binary{BinaryOperator::kPower, std::move(node), unary(true)});
  }
  return node;
}

// A sign binds tighter than a filter: -1|abs is 1.
ExpressionPtr ExpressionParser::unary(bool with_filters) {
  ExpressionPtr node;
  if (tokens_.is_operator("-") || tokens_.is_operator("+")) {
    const TokenStream::Nest nest(tokens_);
    const Token& token = tokens_.next();
    const UnaryOperator op = token.text == "-" ? UnaryOperator::kNegate : UnaryOperator::kAffirm;
    node = make(token.line, Unary{op, unary(false)});
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  if (with_filters) return filters_and_tests(std::move(node));
  return node;
}

ExpressionPtr ExpressionParser::primary() {
  const int line = tokens_.line();
  switch (tokens_.current().kind) {
    case TokenKind::kName:
      return name_or_constant();
    case TokenKind::kInteger:
    case TokenKind::kFloat:
      return number();
    case TokenKind::kString: {
      std::string text;
      while (tokens_.is(TokenKind::kString)) text += tokens_.next().text;
      return make(line, Literal{Value::text(std::move(text))});
    }
    default:
      break;
  }
  if (tokens_.is_operator("(")) return parenthesized();
  if (tokens_.is_operator("[")) return list();
  if (tokens_.is_operator("{")) return dict();
  tokens_.fail(fmt::format("unexpected '{}'", TokenStream::describe(tokens_.current())));
}

ExpressionPtr ExpressionParser::name_or_constant() {
  const Token& token = tokens_.next();
  const std::string& name = token.text;
  if (name == "true" || name == "True") return make(token.line, Literal{Value::boolean(true)});
  if (name == "false" || name == "False") return make(token.line, Literal{Value::boolean(false)});
  if (name == "none" || name == "None") return make(token.line, Literal{Value::none()});
  for (Signature* macro : open_macros_) {
    if (name == "varargs") macro->uses_varargs = true;
    if (name == "kwargs") macro->uses_kwargs = true;
    if (name == "caller") macro->uses_caller = true;
  }
  return make(token.line, Name{name});
}

ExpressionPtr ExpressionParser::number() {
  const Token& token = tokens_.next();
  try {
    if (token.kind == TokenKind::kFloat)
      return make(token.line, Literal{Value::real(parse_float(token.text).value())});
    if (const auto integer = parse_integer(token.text, 0))
      return make(token.line, Literal{Value::integer(*integer)});
  } catch (const Failure& failure) {
    tokens_.fail(failure.message);
  }
  tokens_.fail(fmt::format("'{}' is not a number", token.text));
}

ExpressionPtr ExpressionParser::parenthesized() {
  const int line = tokens_.next().line;
  ExpressionPtr node;
  if (tokens_.is_operator(")"))
    node = make(line, TupleDisplay{});
  else
    node = tuple();
  tokens_.expect_operator(")");
  return node;
}

ExpressionPtr ExpressionParser::list() {
  ListDisplay node;
  const int line = tokens_.next().line;
  while (!tokens_.is_operator("]")) {
    node.items.push_back(expression());
    if (!tokens_.accept_operator(",")) break;
  }
  tokens_.expect_operator("]");
  return make(line, std::move(node));
}

ExpressionPtr ExpressionParser::dict() {
  DictDisplay node;
  const int line = tokens_.next().line;
  while (!tokens_.is_operator("}")) {
    ExpressionPtr key = expression();
    tokens_.expect_operator(":");
    node.entries.emplace_back(std::move(key), expression());
    if (!tokens_.accept_operator(",")) break;
  }
  tokens_.expect_operator("}");
  return make(line, std::move(node));
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr node) {
  while (tokens_.is_operator(".") || tokens_.is_operator("[") || tokens_.is_operator("(")) {
    tokens_.deepen();
    const int line = tokens_.line();
    if (tokens_.is_operator("("))
      node = make(line, Call{std::move(node), call_arguments()});
    else
      node = subscript(std::move(node));
  }
  return node;
}

ExpressionPtr ExpressionParser::filters_and_tests(ExpressionPtr node) {
  while (true) {
    tokens_.deepen();
    const int line = tokens_.line();
    if (tokens_.is_operator("|")) {
      node = filters(std::move(node));
    } else if (tokens_.is_name("is")) {
      node = test(std::move(node));
    } else if (tokens_.is_operator("(")) {
      node = make(line, Call{std::move(node), call_arguments()});
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr node) {
  const Token& token = tokens_.next();
  if (token.text == "[") {
    node = slice_or_key(std::move(node));
    tokens_.expect_operator("]");
    return node;
  }
  if (tokens_.is(TokenKind::kInteger)) return make(token.line, Subscript{std::move(node), number()});
  return make(token.line, Attribute{std::move(node), tokens_.expect_any_name()});
}

// key, or begin:end:step with any of the three left out
ExpressionPtr ExpressionParser::slice_or_key(ExpressionPtr object) {
  const int line = tokens_.line();
  Slice slice{std::move(object), nullptr, nullptr, nullptr};
  if (!tokens_.is_operator(":")) slice.begin = tuple();
  if (!tokens_.accept_operator(":"))
    return make(line, Subscript{std::move(slice.object), std::move(slice.begin)});
  const auto ends = [&] { return tokens_.is_operator(":") || tokens_.is_operator("]"); };
  if (!ends()) slice.end = expression();
  if (tokens_.accept_operator(":") && !ends()) slice.step = expression();
  return make(line, std::move(slice));
}

CallArguments ExpressionParser::call_arguments() {
  CallArguments arguments;
  tokens_.expect_operator("(");
  while (!tokens_.is_operator(")")) {
    const bool is_named = tokens_.is(TokenKind::kName) && tokens_.look().kind == TokenKind::kOperator &&
                          tokens_.look().text == "=";
    if (arguments.named_spread || (arguments.spread && !is_named && !tokens_.is_operator("**"))) {
      tokens_.fail("invalid syntax for function call expression");
    }
    if (tokens_.accept_operator("*")) {
      arguments.spread = expression();
    } else if (tokens_.accept_operator("**")) {
      arguments.named_spread = expression();
    } else if (is_named) {
      std::string name = tokens_.expect_any_name();
      tokens_.expect_operator("=");
      arguments.named.emplace_back(std::move(name), expression());
    } else {
      if (!arguments.named.empty()) tokens_.fail("invalid syntax for function call expression");
      arguments.positional.push_back(expression());
    }
    if (!tokens_.accept_operator(",")) break;
  }
  tokens_.expect_operator(")");
  return arguments;
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr input, bool first_is_open) {
  while (first_is_open || tokens_.accept_operator("|")) {
    tokens_.deepen();
    first_is_open = false;
    const int line = tokens_.line();
    std::string name = tokens_.expect_any_name();
    CallArguments arguments = tokens_.is_operator("(") ? call_arguments() : CallArguments{};
    input = make(line, Filter{std::move(input), std::move(name), std::move(arguments)});
  }
  return input;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr input) {
  const int line = tokens_.next().line;
  const bool negated = tokens_.accept_name("not");
  std::string name = tokens_.expect_any_name();
  CallArguments arguments;
  const auto takes_argument = [&] {
    if (tokens_.is_name("is")) tokens_.fail("You cannot chain multiple tests with is");
    if (tokens_.is(TokenKind::kName))
      return !tokens_.is_name("else") && !tokens_.is_name("or") && !tokens_.is_name("and");
    return tokens_.is(TokenKind::kString) || tokens_.is(TokenKind::kInteger) ||
           tokens_.is(TokenKind::kFloat) || tokens_.is_operator("[") || tokens_.is_operator("{");
  };
  if (tokens_.is_operator("(")) {
    arguments = call_arguments();
  } else if (takes_argument()) {
    arguments.positional.push_back(postfix(primary()));
  }
  ExpressionPtr node = make(line, Test{std::move(input), std::move(name), std::move(arguments)});
  if (negated) return make(line, Unary{UnaryOperator::kNot, std::move(node)});
  return node;
}

Target ExpressionParser::single_target() {
  const TokenStream::Nest nest(tokens_);
  if (tokens_.accept_operator("(")) {
    Target inner = target();
    tokens_.expect_operator(")");
    return inner;
  }
  if (!tokens_.is(TokenKind::kName))
    tokens_.fail(fmt::format("can't assign to '{}'", TokenStream::describe(tokens_.current())));
  Target result;
  result.name = tokens_.expect_any_name();
  for (const std::string_view constant : {"true", "True", "false", "False", "none", "None"}) {
    if (result.name == constant) tokens_.fail(fmt::format("can't assign to '{}'", constant));
  }
  if (tokens_.accept_operator(".")) result.attribute = tokens_.expect_any_name();
  return result;
}

Target ExpressionParser::target(std::string_view ends_at) {
  Target first = single_target();
  if (!tokens_.is_operator(",")) return first;
  Target all;
  all.is_tuple = true;
  all.parts.push_back(std::move(first));
  while (tokens_.accept_operator(",")) {
    if (tokens_.is_operator(")") || tokens_.is_operator("=") || tokens_.is(TokenKind::kBlockEnd) ||
        (!ends_at.empty() && tokens_.is_name(ends_at)))
      break;
    all.parts.push_back(single_target());
  }
  return all;
}

}  // namespace farthing::tokenizer::jinja
