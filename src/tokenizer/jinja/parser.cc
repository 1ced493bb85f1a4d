#include "tokenizer/jinja/parser.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tokenizer/jinja/expression_parser.h"

namespace farthing::tokenizer::jinja {
namespace {

using Names = std::vector<std::string_view>;

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)), expressions_(tokens_) {}

  Body run();

 private:
  /// Statements up to a tag that starts with one of `ends`, whose name becomes the current token.
  Body body(const Names& ends);
  /// The rest of an opening tag, and what follows up to the end tag, which is taken.
  Body block(std::string_view end);
  void close_opening_tag();

  Statement statement();
  Statement set(int line);
  Statement conditional(int line);
  Statement loop(int line);
  Statement macro(int line);
  Statement call_block(int line);
  Statement filter_block(int line);
  Statement with(int line);
  Statement named_block(int line);
  Statement print(int line);
  Statement jump(int line, bool is_break);
  Signature signature();
  Body macro_body(Signature& signature, std::string_view end);

  TokenStream tokens_;
  ExpressionParser expressions_;
  std::vector<std::string> open_tags_;
  int loops_ = 0;  // around the current statement, within its macro
};

Body Parser::run() {
  return body({});
}

Body Parser::body(const Names& ends) {
  const TokenStream::Nest nest(tokens_);
  Body statements;
  while (!tokens_.is(TokenKind::kEnd)) {
    const int line = tokens_.line();
    if (tokens_.is(TokenKind::kData)) {
      statements.push_back({line, TextOutput{tokens_.next().text}});
    } else if (tokens_.is(TokenKind::kVariableBegin)) {
      tokens_.next();
      ExpressionPtr value = expressions_.tuple();
      tokens_.expect(TokenKind::kVariableEnd);
      statements.push_back({line, ExpressionOutput{std::move(value)}});
    } else {
      tokens_.expect(TokenKind::kBlockBegin);
      if (std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return tokens_.is_name(end); }))
        return statements;
      statements.push_back(statement());
      tokens_.expect(TokenKind::kBlockEnd);
    }
  }
  if (!ends.empty()) {
    tokens_.fail(
        fmt::format("Unexpected end of template. Looking for one of: {}. The innermost block that needs to "
                    "be closed is '{}'.",
                    fmt::join(ends, ", "), open_tags_.empty() ? "" : open_tags_.back()));
  }
  return statements;
}

void Parser::close_opening_tag() {
  tokens_.accept_operator(":");
  tokens_.expect(TokenKind::kBlockEnd);
}

Body Parser::block(std::string_view end) {
  close_opening_tag();
  Body statements = body({end});
  tokens_.next();
  return statements;
}

Statement Parser::statement() {
  const int line = tokens_.line();
  if (!tokens_.is(TokenKind::kName)) tokens_.fail("tag name expected");
  const std::string name = tokens_.current().text;
  using Parse = Statement (Parser::*)(int);
  static const std::vector<std::pair<std::string_view, Parse>> kTags = {
      {"set", &Parser::set},     {"if", &Parser::conditional},    {"for", &Parser::loop},
      {"macro", &Parser::macro}, {"call", &Parser::call_block},   {"filter", &Parser::filter_block},
      {"with", &Parser::with},   {"block", &Parser::named_block}, {"generation", &Parser::named_block},
      {"print", &Parser::print},
  };
  if (name == "break" || name == "continue") {
    tokens_.next();
    return jump(line, name == "break");
  }
  for (const auto& [tag, parse] : kTags) {
    if (tag != name) continue;
    tokens_.next();
    open_tags_.push_back(name);
    Statement result = (this->*parse)(line);
    open_tags_.pop_back();
    return result;
  }
  const bool unsupported =
      name == "include" || name == "import" || name == "from" || name == "extends" || name == "autoescape";
  if (unsupported) tokens_.fail(fmt::format("A chat template stands alone: '{}' is not supported.", name));
  tokens_.fail(fmt::format(
      "Encountered unknown tag '{}'.{}", name,
      open_tags_.empty()
          ? ""
          : fmt::format(" The innermost block that needs to be closed is '{}'.", open_tags_.back())));
}

Statement Parser::set(int line) {
  Target target = expressions_.target();
  if (tokens_.accept_operator("=")) return {line, Set{std::move(target), expressions_.tuple()}};
  ExpressionPtr filter = expressions_.filters(nullptr);
  return {line, SetBlock{std::move(target), std::move(filter), block("endset")}};
}

Statement Parser::conditional(int line) {
  If result;
  while (true) {
    ExpressionPtr test = expressions_.tuple(false);
    close_opening_tag();
    result.branches.emplace_back(std::move(test), body({"elif", "else", "endif"}));
    if (!tokens_.accept_name("elif")) break;
  }
  if (tokens_.accept_name("else")) {
    result.otherwise = block("endif");
  } else {
    tokens_.expect_name("endif");
  }
  return {line, std::move(result)};
}

Statement Parser::loop(int line) {
  For result;
  result.target = expressions_.target("in");
  tokens_.expect_name("in");
  result.iterable = expressions_.tuple(false, "recursive");
  if (tokens_.accept_name("if")) result.condition = expressions_.expression();
  result.recursive = tokens_.accept_name("recursive");
  close_opening_tag();
  ++loops_;
  result.body = body({"endfor", "else"});
  --loops_;
  if (tokens_.accept_name("else")) {
    result.otherwise = block("endfor");
  } else {
    tokens_.expect_name("endfor");
  }
  return {line, std::move(result)};
}

Signature Parser::signature() {
  Signature result;
  tokens_.expect_operator("(");
  while (!tokens_.is_operator(")")) {
    std::string name = tokens_.expect_any_name();
    if (std::find(result.parameters.begin(), result.parameters.end(), name) != result.parameters.end()) {
      tokens_.fail(fmt::format("duplicate argument '{}' in function definition", name));
    }
    if (tokens_.accept_operator("=")) {
      result.defaults.push_back(expressions_.expression());
    } else if (!result.defaults.empty()) {
      tokens_.fail("non-default argument follows default argument");
    } else if (name == "caller") {
      tokens_.fail("the special \"caller\" argument must be omitted or be given a default");
    }
    result.parameters.push_back(std::move(name));
    if (!tokens_.accept_operator(",")) break;
  }
  tokens_.expect_operator(")");
  return result;
}

Body Parser::macro_body(Signature& signature, std::string_view end) {
  const int loops = std::exchange(loops_, 0);  // a macro does not break out of the loop around it
  expressions_.open_macros().push_back(&signature);
  Body result = block(end);
  expressions_.open_macros().pop_back();
  loops_ = loops;
  return result;
}

Statement Parser::macro(int line) {
  MacroDefinition result;
  result.name = tokens_.expect_any_name();
  result.signature = signature();
  result.body = macro_body(result.signature, "endmacro");
  return {line, std::move(result)};
}

Statement Parser::call_block(int line) {
  CallBlock result;
  if (tokens_.is_operator("(")) result.signature = signature();
  result.call = expressions_.expression();
  if (!std::holds_alternative<Call>(result.call->node)) tokens_.fail("expected call");
  result.body = macro_body(result.signature, "endcall");
  return {line, std::move(result)};
}

Statement Parser::filter_block(int line) {
  ExpressionPtr filter = expressions_.filters(nullptr, true);
  return {line, FilterBlock{std::move(filter), block("endfilter")}};
}

Statement Parser::with(int line) {
  With result;
  while (!tokens_.is(TokenKind::kBlockEnd)) {
    if (!result.assignments.empty()) tokens_.expect_operator(",");
    Target target = expressions_.target();
    tokens_.expect_operator("=");
    result.assignments.emplace_back(std::move(target), expressions_.expression());
  }
  result.body = block("endwith");
  return {line, std::move(result)};
}

// {% block name %} and {% generation %}
Statement Parser::named_block(int line) {
  const std::string tag = open_tags_.back();
  std::string name;
  if (tag == "block") name = tokens_.expect_any_name();
  while (tag == "block" && (tokens_.accept_name("scoped") || tokens_.accept_name("required"))) {
  }
  Block result{tag == "block", block("end" + tag)};
  if (tag == "block") tokens_.accept_name(name);
  return {line, std::move(result)};
}

Statement Parser::print(int line) {
  Concatenation parts;
  do {
    parts.parts.push_back(expressions_.expression());
  } while (tokens_.accept_operator(","));
  return {line, ExpressionOutput{std::make_unique<const Expression>(Expression{line, std::move(parts)})}};
}

Statement Parser::jump(int line, bool is_break) {
  if (loops_ == 0) tokens_.fail(is_break ? "'break' outside loop" : "'continue' outside loop");
  if (is_break) return {line, Break{}};
  return {line, Continue{}};
}

}  // namespace

Body parse(std::string_view source) {
  return Parser(source).run();
}

}  // namespace farthing::tokenizer::jinja
