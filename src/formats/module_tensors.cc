#include "formats/module_tensors.h"

#include <algorithm>

#include "base/error.h"

namespace farthing::formats {

using checkpoint::TensorInfo;

const TensorInfo& ModuleTensors::at(std::string_view suffix) const {
  const TensorInfo* info = find(suffix);
  FARTHING_REQUIRE(info != nullptr, Code::kNotFound, "tensor of a quantized weight is missing",
                   {{"file", file()}, {"tensor", name(suffix)}},
                   "the checkpoint is incomplete, or its config.json belongs to another one");
  return *info;
}

Tensor ModuleTensors::read(std::string_view suffix) const {
  return checkpoint_.read(at(suffix).name);
}

void ModuleTensors::require(bool holds, std::string_view suffix, std::string_view problem) const {
  if (holds) return;
  std::vector<Field> fields = {{"file", file()}, {"tensor", name(suffix)}};
  if (const TensorInfo* info = find(suffix)) {
    fields.emplace_back("dtype", dtype_name(info->dtype));
    fields.emplace_back("shape", to_string(info->shape));
  }
  throw Error(Code::kCorruptData, std::string(problem), std::move(fields));
}

std::string ModuleTensors::file() const {
  const std::string prefix = module_ + ".";
  const auto& tensors = checkpoint_.tensors();
  const auto first =
      std::lower_bound(tensors.begin(), tensors.end(), prefix,
                       [](const TensorInfo& info, const std::string& wanted) { return info.name < wanted; });
  return first != tensors.end() && first->name.starts_with(prefix) ? first->file.string()
                                                                   : checkpoint_.directory().string();
}

double bits_per_weight(const checkpoint::Checkpoint& checkpoint, const std::vector<std::string>& tensors,
                       std::int64_t rows, std::int64_t columns) {
  std::uint64_t bytes = 0;
  for (const std::string& name : tensors) bytes += checkpoint.at(name).num_bytes;
  const double elements = static_cast<double>(rows) * static_cast<double>(columns);
  return elements > 0 ? 8 * static_cast<double>(bytes) / elements : 0;
}

std::vector<std::string> modules_with(const checkpoint::Checkpoint& checkpoint, std::string_view suffix) {
  std::vector<std::string> modules;
  for (const TensorInfo& info : checkpoint.tensors()) {
    if (info.name.ends_with(suffix) && info.name.size() > suffix.size())
      modules.push_back(info.name.substr(0, info.name.size() - suffix.size()));
  }
  std::sort(modules.begin(), modules.end());
  return modules;
}

std::vector<std::string> tensors_with(const ModuleTensors& module,
                                      std::span<const std::string_view> suffixes) {
  std::vector<std::string> names;
  for (const std::string_view suffix : suffixes) {
    if (module.has(suffix)) names.push_back(module.name(suffix));
  }
  return names;
}

}  // namespace farthing::formats
