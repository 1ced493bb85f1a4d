// Weights that follow a formula, for golden cases that store none: tests/data/generate/families.py makes the
// same numbers for the reference.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/json.h"
#include "checkpoint/writer.h"

namespace farthing::models {

/// offset + scale * u, where u in [-1, 1) are the upper 24 bits of splitmix64.
inline Tensor formula_tensor(const std::string& name, const Shape& shape, double scale, double offset) {
  std::uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  Tensor tensor = Tensor::empty(DType::kF32, shape);
  float* values = tensor.mutable_data<float>();
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    std::uint64_t x = hash + static_cast<std::uint64_t>(i + 1) * 0x9E3779B97F4A7C15;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
    x = x ^ (x >> 31);
    const double u = static_cast<double>(x >> 40) * 0x1p-23 - 1.0;
    values[i] = static_cast<float>(offset + scale * u);
  }
  return tensor;
}

/// Every name that a pattern stands for: {0-3} counts up.
inline std::vector<std::string> expand_names(const std::string& pattern) {
  const std::size_t open = pattern.find('{');
  if (open == std::string::npos) return {pattern};
  const std::size_t dash = pattern.find('-', open), close = pattern.find('}', open);
  const int first = std::stoi(pattern.substr(open + 1)), last = std::stoi(pattern.substr(dash + 1));
  std::vector<std::string> names;
  for (int i = first; i <= last; ++i)
    for (std::string& name :
         expand_names(pattern.substr(0, open) + std::to_string(i) + pattern.substr(close + 1)))
      names.push_back(std::move(name));
  return names;
}

/// The case's folder, or, where it stores no weights, a copy with those of the formula.
inline std::filesystem::path with_weights(const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  static std::map<fs::path, fs::path> made;
  if (const auto known = made.find(folder); known != made.end()) return known->second;
  if (!fs::exists(folder / "case.json")) return folder;
  const Json facts = read_json(folder / "case.json");
  if (!facts.contains("tensors")) return folder;
  fs::path copy =
      fs::path(testing::TempDir()) / (folder.filename().string() + "-" + std::to_string(::getpid()));
  fs::create_directories(copy);
  fs::copy(folder, copy, fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  std::vector<std::pair<std::string, Tensor>> tensors;
  for (const auto& [pattern, tensor] : facts["tensors"].items())
    for (const std::string& name : expand_names(pattern))
      tensors.emplace_back(name, formula_tensor(name, tensor[0].get<Shape>(), tensor[1].get<double>(),
                                                tensor[2].get<double>()));
  checkpoint::save_safetensors(copy / "model.safetensors", tensors);
  made.emplace(folder, copy);
  return copy;
}

}  // namespace farthing::models
