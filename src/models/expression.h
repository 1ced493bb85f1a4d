// Arithmetic over the keys of a config.json, for families that are described in a file: "head_dim or
// hidden_size / num_attention_heads", "layer >= first_k_dense_replace".
#pragma once

#include <map>
#include <optional>
#include <string>

#include "models/config.h"

namespace farthing::models {

/// Numbers that an expression may name besides keys: "layer", "head_dim". They go first.
using Variables = std::map<std::string, double, std::less<>>;

/// Evaluates numbers, names, ( ), unary -, * / %, + -, comparisons (1 or 0), sqrt(...), and `a or b`, which
/// is b where a names a key that is missing or null; true is 1, false 0. `a.b` is key b of block a. Returns
/// nothing where a key is missing and no "or" follows. Throws kInvalidArgument naming the expression for
/// mistakes, kCorruptData naming the key where the config has no number there.
std::optional<double> evaluate(const std::string& expression, const Config& config,
                               const Variables& variables);

}  // namespace farthing::models
