// Cuts a template into tokens. White space control happens here: `-` in a tag strips everything next to it,
// and, as transformers sets Jinja up, block tags and comments swallow the newline after them (trim_blocks)
// and the blanks before them on their line (lstrip_blocks).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace farthing::tokenizer::jinja {

/// What is wrong in the source of a template, and in which line (from 1).
struct SyntaxError {
  std::string message;
  int line;
};

enum class TokenKind {
  kData,
  kVariableBegin,
  kVariableEnd,
  kBlockBegin,
  kBlockEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,
  kEnd
};

struct Token {
  TokenKind kind;
  std::string text;  // data and strings decoded, names, numbers and operators as written
  int line;
};

/// The last token is kEnd. Throws SyntaxError.
std::vector<Token> tokenize(std::string_view source);

}  // namespace farthing::tokenizer::jinja
