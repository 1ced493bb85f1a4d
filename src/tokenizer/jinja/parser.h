// From the source of a template to its syntax tree.
#pragma once

#include <string_view>

#include "tokenizer/jinja/ast.h"
#include "tokenizer/jinja/lexer.h"

namespace farthing::tokenizer::jinja {

/// Throws SyntaxError.
Body parse(std::string_view source);

}  // namespace farthing::tokenizer::jinja
