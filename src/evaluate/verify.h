// Would this consumer load this folder? Each consumer has a written profile: what it accepts of methods,
// bits, groups and shapes, and which files it looks for. Nothing is run; headers, config and every quantized
// weight's tensors are read.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace farthing::evaluate {

struct Problem {
  std::string where;  // module, tensor, file or config key
  std::string what;
};

/// The names that verify takes: vllm, transformers, autoawq, gptqmodel, bitsandbytes, llama.cpp.
std::span<const std::string_view> consumer_names();

/// Returns what stands in the way; empty when nothing does. Without a consumer only what every reader needs
/// is checked: headers, shapes, finite scales, tokenizer and side files. Throws kInvalidArgument for an
/// unknown consumer with the list.
std::vector<Problem> verify(const std::filesystem::path& directory, std::string_view consumer);

}  // namespace farthing::evaluate
