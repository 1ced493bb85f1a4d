#include "tokenizer/jinja/token_stream.h"

#include <fmt/format.h>

namespace farthing::tokenizer::jinja {
namespace {

constexpr int kMaxDepth = 250;  // Python itself gives up on Jinja's output at 200 nested parentheses

}  // namespace

const Token& TokenStream::next() {
  const Token& token = current();
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool TokenStream::accept_operator(std::string_view text) {
  if (!is_operator(text)) return false;
  next();
  return true;
}

bool TokenStream::accept_name(std::string_view text) {
  if (!is_name(text)) return false;
  next();
  return true;
}

void TokenStream::expect(TokenKind kind) {
  if (!is(kind)) fail(fmt::format("expected '{}', got '{}'", describe({kind, {}, 0}), describe(current())));
  next();
}

void TokenStream::expect_operator(std::string_view text) {
  if (!accept_operator(text)) fail(fmt::format("expected '{}', got '{}'", text, describe(current())));
}

void TokenStream::expect_name(std::string_view text) {
  if (!accept_name(text)) fail(fmt::format("expected '{}', got '{}'", text, describe(current())));
}

std::string TokenStream::expect_any_name() {
  if (!is(TokenKind::kName)) fail(fmt::format("expected a name, got '{}'", describe(current())));
  return next().text;
}

void TokenStream::fail(const std::string& message) const {
  throw SyntaxError{message, line()};
}

std::string TokenStream::describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kData:
      return "template data";
    case TokenKind::kVariableBegin:
      return "begin of print statement";
    case TokenKind::kVariableEnd:
      return "end of print statement";
    case TokenKind::kBlockBegin:
      return "begin of statement block";
    case TokenKind::kBlockEnd:
      return "end of statement block";
    case TokenKind::kString:
      return "string";
    case TokenKind::kEnd:
      return "end of template";
    default:
      return token.text;
  }
}

void TokenStream::deepen() {
  if (++depth_ > kMaxDepth) fail("expressions or blocks nest too deeply");
}

}  // namespace farthing::tokenizer::jinja
