// Errors as users and scripts see them: at most three lines, and with --json one document.
#pragma once

#include <cstdio>
#include <exception>

#include "base/error.h"
#include "base/json.h"
#include "cli/terminal.h"

namespace farthing::cli {

/// Returns any exception as an Error: lack of memory is kResources, what the standard library reports about
/// files is kIo, the rest is a bug of ours.
Error as_error(std::exception_ptr exception);

/// "error: what, where, actual values" and "hint: what to type next".
std::string error_lines(const Error& error, const TerminalStyle& style);

/// {"schema": 1, "error": {code, message, fields, hint}}.
Json error_document(const Error& error);

}  // namespace farthing::cli
