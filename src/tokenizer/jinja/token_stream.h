// The parsers' view of the tokens: one current token, a look at the next, and a bound on nesting.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/jinja/lexer.h"

namespace farthing::tokenizer::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  const Token& current() const { return tokens_[at_]; }
  /// The token after the current one.
  const Token& look() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  int line() const { return current().line; }
  bool is(TokenKind kind) const { return current().kind == kind; }
  bool is_operator(std::string_view text) const { return is(TokenKind::kOperator) && current().text == text; }
  bool is_name(std::string_view text) const { return is(TokenKind::kName) && current().text == text; }

  /// Returns the current token and moves on; the end stays.
  const Token& next();
  // Each moves on if the current token is that one, and says whether it was.
  bool accept_operator(std::string_view text);
  bool accept_name(std::string_view text);
  // Each moves on; throws SyntaxError if the current token is another one.
  void expect(TokenKind kind);
  void expect_operator(std::string_view text);
  void expect_name(std::string_view text);
  std::string expect_any_name();

  [[noreturn]] void fail(const std::string& message) const;
  /// How messages name a token.
  static std::string describe(const Token& token);

  /// Counts a link of the current expression or block, whose tree grows deeper by it: a + b + c, ((a)), not
  /// not a. Undone when the enclosing Nest ends. Throws SyntaxError beyond the limit.
  void deepen();

  /// Held while something nested is parsed.
  class Nest {
   public:
    explicit Nest(TokenStream& stream) : stream_(stream), depth_(stream.depth_) { stream.deepen(); }
    ~Nest() { stream_.depth_ = depth_; }
    Nest(const Nest&) = delete;
    Nest& operator=(const Nest&) = delete;

   private:
    TokenStream& stream_;
    int depth_;
  };

 private:
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace farthing::tokenizer::jinja
