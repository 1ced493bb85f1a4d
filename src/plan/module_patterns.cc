#include "plan/module_patterns.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include <fmt/ranges.h>

#include "plan/modifier_match.h"

namespace farthing::plan {
namespace {

// What vLLM calls linears that it multiplies in one.
struct Fused {
  std::string_view name;
  std::array<std::string_view, 3> parts;
};
constexpr std::array kFused = {Fused{"qkv_proj", {"q_proj", "k_proj", "v_proj"}},
                               Fused{"gate_up_proj", {"gate_proj", "up_proj", "up_proj"}}};

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (std::string_view(R"(.^$|()[]{}*+?\)").find(c) != std::string_view::npos) result += '\\';
    result += c;
  }
  return result;
}

// "mlp.experts.17.up_proj" as parent "mlp\.experts\.[0-9]+" and name "up_proj": experts are many and alike.
std::pair<std::string, std::string> split_tail(std::string_view tail) {
  std::string parent;
  for (std::size_t begin = 0;;) {
    const std::size_t dot = tail.find('.', begin);
    const std::string_view word = tail.substr(begin, dot - begin);
    if (dot == std::string_view::npos) return {parent, std::string(word)};
    const bool is_number = word.find_first_not_of("0123456789") == std::string_view::npos;
    parent += (is_number ? "[0-9]+" : escaped(word)) + "\\.";
    begin = dot + 1;
  }
}

std::string one_of(std::vector<std::string> words) {
  return words.size() == 1 ? words.front() : fmt::format("({})", fmt::join(words, "|"));
}

// The names of one parent, with that of the whole where all parts of one are there.
std::vector<std::string> with_fused(const std::set<std::string>& names) {
  std::vector<std::string> result(names.begin(), names.end());
  for (const Fused& fused : kFused) {
    if (std::ranges::all_of(fused.parts,
                            [&](std::string_view part) { return names.contains(std::string(part)); }))
      result.emplace_back(fused.name);
  }
  return result;
}

// The blocks in which the same names of the same parent are meant.
struct Alike {
  std::string parent;
  std::set<std::string> names;
  std::vector<std::string> blocks;
  std::vector<std::string> paths;  // canonical
};

std::vector<Alike> alike(std::span<const models::ModuleInfo* const> modules, const nn::DecoderSpec& decoder) {
  std::map<std::pair<std::int64_t, std::string>, std::pair<std::set<std::string>, std::vector<std::string>>>
      of_parent;
  for (const models::ModuleInfo* module : modules) {
    const std::string block = fmt::format("{}.{}.{}.", decoder.path, decoder.layers, module->block);
    const auto [parent, name] = split_tail(std::string_view(module->path).substr(block.size()));
    auto& [names, paths] = of_parent[{module->block, parent}];
    names.insert(name);
    paths.push_back(module->path);
  }
  std::map<std::pair<std::string, std::set<std::string>>, Alike> sorted;
  for (auto& [key, members] : of_parent) {
    auto& [names, paths] = members;
    Alike& entry = sorted[{key.second, names}];
    entry.parent = key.second;
    entry.names = names;
    entry.blocks.push_back(fmt::to_string(key.first));
    entry.paths.insert(entry.paths.end(), paths.begin(), paths.end());
  }
  std::vector<Alike> result;
  for (auto& [key, entry] : sorted) result.push_back(std::move(entry));
  return result;
}

// What stands before a block's number, from the widest to what only the spellings of this family have.
std::vector<std::string> prefixes_of(const nn::ModelSpec& spec) {
  const nn::DecoderSpec& decoder = spec.decoder;
  std::vector<std::string> paths;
  for (const std::string& name : spellings(spec, fmt::format("{}.{}", decoder.path, decoder.layers)))
    paths.push_back(escaped(name));
  return {R"((.*\.)?)" + escaped(decoder.layers), one_of(std::move(paths))};
}

bool fits_only(const std::string& pattern, const std::set<std::string>& wanted,
               std::span<const models::ModuleInfo> all, const std::optional<nn::ModelSpec>& spec) {
  const scheme::Target target(pattern);
  return std::ranges::all_of(all, [&](const models::ModuleInfo& module) {
    return wanted.contains(module.path) || !target.match(names_of(module, spec));
  });
}

}  // namespace

std::vector<std::string> patterns_for(const QuantizePlan& plan, std::span<const std::string> paths) {
  const std::set<std::string> wanted(paths.begin(), paths.end());
  std::vector<const models::ModuleInfo*> inside;
  std::vector<std::string> patterns;
  const auto name = [&](const std::string& path) {
    const auto names = plan.spec ? spellings(*plan.spec, path) : std::vector<std::string>{path};
    patterns.insert(patterns.end(), names.begin(), names.end());
  };
  for (const LinearPlan& linear : plan.linears) {
    if (!wanted.contains(linear.module.path)) continue;
    if (plan.spec && linear.module.block >= 0)
      inside.push_back(&linear.module);
    else
      name(linear.module.path);
  }
  if (inside.empty()) return patterns;
  const std::vector<models::ModuleInfo> all = models::linears_of(*plan.spec);
  for (const Alike& entry : alike(inside, plan.spec->decoder)) {
    bool is_done = false;
    for (const std::string& prefix : prefixes_of(*plan.spec)) {
      const std::string pattern = fmt::format(R"(re:{}\.{}\.{}{}$)", prefix, one_of(entry.blocks),
                                              entry.parent, one_of(with_fused(entry.names)));
      if (is_done || !fits_only(pattern, wanted, all, plan.spec)) continue;
      patterns.push_back(pattern);
      is_done = true;
    }
    if (!is_done) {
      for (const std::string& path : entry.paths) name(path);
    }
  }
  return patterns;
}

}  // namespace farthing::plan
