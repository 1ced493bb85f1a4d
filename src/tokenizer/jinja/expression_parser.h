// Recursive descent over expressions, one function for each level of precedence.
#pragma once

#include <vector>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/token_stream.h"

namespace farthing::tokenizer::jinja {

/// All functions throw SyntaxError.
class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  /// One expression. `with_conditional`: `a if b else c` may be part of it.
  ExpressionPtr expression(bool with_conditional = true);
  /// One expression, or several with commas between them: a tuple. Ends where `ends_at` (a name) comes up, if
  /// given.
  ExpressionPtr tuple(bool with_conditional = true, std::string_view ends_at = {});
  /// What can be assigned to. `ends_at`: see tuple.
  Target target(std::string_view ends_at = {});
  /// `|name(arguments)` and so on, applied to `input` (null: to the text of a block). `first_is_open`: the
  /// bar of the first one has been left out.
  ExpressionPtr filters(ExpressionPtr input, bool first_is_open = false);

  /// The macros whose bodies are being parsed; they learn which special names are used in them.
  std::vector<Signature*>& open_macros() { return open_macros_; }

 private:
  ExpressionPtr or_level();
  ExpressionPtr and_level();
  ExpressionPtr not_level();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters);
  ExpressionPtr primary();
  ExpressionPtr name_or_constant();
  ExpressionPtr number();
  ExpressionPtr parenthesized();
  ExpressionPtr list();
  ExpressionPtr dict();
  ExpressionPtr postfix(ExpressionPtr node);
  ExpressionPtr filters_and_tests(ExpressionPtr node);
  ExpressionPtr subscript(ExpressionPtr node);
  ExpressionPtr slice_or_key(ExpressionPtr object);
  ExpressionPtr test(ExpressionPtr input);
  CallArguments call_arguments();
  Target single_target();

  TokenStream& tokens_;
  std::vector<Signature*> open_macros_;
};

}  // namespace farthing::tokenizer::jinja
