#include "plan/guess_linears.h"

#include <regex>

namespace farthing::plan {

std::vector<models::ModuleInfo> guess_linears(const checkpoint::Checkpoint& checkpoint) {
  static const std::regex kEmbedding(
      "(^|[._])(embed|embedding|embeddings|wte|wpe|emb|shared|tok_embeddings|position)", std::regex::icase);
  static const std::regex kHead("(^|\\.)(lm_head|embed_out|output|proj_out)$");
  static const std::regex kBlock("^(.*?\\.)?(\\d+)\\.");
  std::vector<models::ModuleInfo> modules;
  for (const auto& tensor : checkpoint.tensors()) {
    if (!tensor.name.ends_with(".weight") || tensor.shape.size() != 2 || !is_floating_point(tensor.dtype))
      continue;
    models::ModuleInfo module{.path = tensor.name.substr(0, tensor.name.size() - 7), .class_name = "Linear"};
    module.in_features = tensor.shape[1];
    module.out_features = tensor.shape[0];
    module.input_group = module.path;
    if (std::regex_search(module.path, kHead))
      module.role = models::Role::kHead;
    else if (std::regex_search(module.path, kEmbedding))
      continue;
    std::smatch match;
    if (std::regex_search(module.path, match, kBlock)) module.block = std::stoll(match[2]);
    modules.push_back(std::move(module));
  }
  return modules;
}

}  // namespace farthing::plan
