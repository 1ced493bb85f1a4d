#include "plan/guess_linears.h"

#include <charconv>
#include <optional>

#include "scheme/regex.h"

namespace farthing::plan {
namespace {

// The first part of a dotted path that is a number, if more parts follow: the index of the block.
std::optional<std::int64_t> first_number(std::string_view path) {
  while (true) {
    const std::size_t dot = path.find('.');
    if (dot == std::string_view::npos) return std::nullopt;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(path.data(), path.data() + dot, number);
    if (error == std::errc() && end == path.data() + dot && number >= 0) return number;
    path.remove_prefix(dot + 1);
  }
}

}  // namespace

std::vector<models::ModuleInfo> guess_linears(const checkpoint::Checkpoint& checkpoint) {
  using scheme::Regex;
  const Regex embedding("(?i)(^|[._])(embed|embedding|embeddings|wte|wpe|emb|shared|tok_embeddings|position)",
                        Regex::Fit::kAnywhere);
  const Regex head("(^|\\.)(lm_head|embed_out|output|proj_out)$", Regex::Fit::kAnywhere);
  std::vector<models::ModuleInfo> modules;
  for (const auto& tensor : checkpoint.tensors()) {
    if (!tensor.name.ends_with(".weight") || tensor.shape.size() != 2 || !is_floating_point(tensor.dtype))
      continue;
    models::ModuleInfo module{.path = tensor.name.substr(0, tensor.name.size() - 7), .class_name = "Linear"};
    module.in_features = tensor.shape[1];
    module.out_features = tensor.shape[0];
    module.input_group = module.path;
    if (head.matches(module.path))
      module.role = models::Role::kHead;
    else if (embedding.matches(module.path))
      continue;
    module.block = first_number(module.path).value_or(module.block);
    modules.push_back(std::move(module));
  }
  return modules;
}

}  // namespace farthing::plan
