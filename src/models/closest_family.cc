#include "models/closest_family.h"

#include <map>
#include <set>

#include "base/error.h"

namespace farthing::models {
namespace {

ClosestFamily compare(const Family& family, const nn::ModelSpec& spec,
                      const checkpoint::Checkpoint& checkpoint) {
  std::map<std::string, Shape> declared;
  std::set<std::string> modules;
  for_each_tensor(spec, [&](const DeclaredTensor& tensor) {
    declared.emplace(tensor.name, tensor.shape);
    if (!tensor.module.empty()) modules.insert(tensor.module);
  });
  ClosestFamily result{.model_type = std::string(family.model_type)};
  for (const checkpoint::TensorInfo& info : checkpoint.tensors()) {
    const std::string name = canonical_name(spec, info.name);
    const auto known = declared.find(name);
    // What quantized weights are made of has other names and shapes below the same module.
    const bool is_packed = known == declared.end() && !name.ends_with(".weight") &&
                           !name.ends_with(".bias") && modules.contains(name.substr(0, name.rfind('.')));
    if (is_packed || (known != declared.end() && known->second == info.shape)) {
      ++result.explained;
    } else {
      result.unexplained.push_back(info.name);
    }
  }
  return result;
}

}  // namespace

std::optional<ClosestFamily> closest_family(const Config& config, const checkpoint::Checkpoint& checkpoint) {
  std::optional<ClosestFamily> best;
  for (const Family& family : families()) {
    try {
      ClosestFamily candidate = compare(family, family.declare(config), checkpoint);
      if (candidate.explained > (best ? best->explained : 0)) best = std::move(candidate);
    } catch (const Error& error) {  // its config means something else: not this one
      if (error.code() == Code::kInternal) throw;
    }
  }
  return best;
}

}  // namespace farthing::models
