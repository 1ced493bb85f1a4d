#include "plan/quantization_block.h"

#include <algorithm>
#include <map>
#include <set>

#include "plan/modifier_match.h"
#include "plan/module_patterns.h"

namespace farthing::plan {
namespace {

// What a group of config_groups is made from.
struct PlannedGroup {
  scheme::Scheme scheme;
  std::vector<std::string> targets;
  std::vector<std::string> members;  // canonical paths
};

void add_once(std::vector<std::string>& list, const std::string& entry) {
  if (std::find(list.begin(), list.end(), entry) == list.end()) list.push_back(entry);
}

// Beside other groups, a class name would draw in linears that vLLM fuses: it looks for the class of the
// fused one before it looks at the names of its parts. Names say the same to everyone.
void name_members(std::vector<PlannedGroup>& groups, const QuantizePlan& plan) {
  std::set<std::string> classes;
  for (const LinearPlan& linear : plan.linears) classes.insert(linear.module.class_name);
  for (PlannedGroup& group : groups) {
    const bool has_class = std::ranges::any_of(
        group.targets, [&](const std::string& target) { return classes.contains(target); });
    if (has_class) group.targets = patterns_for(plan, group.members);
  }
}

// config_groups: the recipe's own groups keep their targets as long as every member kept its scheme;
// linears whose scheme was changed get a group that names them.
void fill_groups(QuantizePlan& plan) {
  std::vector<PlannedGroup> groups;
  const auto group_for = [&](const scheme::Scheme& scheme) -> PlannedGroup& {
    for (PlannedGroup& group : groups) {
      if (group.scheme == scheme) return group;
    }
    return groups.emplace_back(PlannedGroup{.scheme = scheme, .targets = {}, .members = {}});
  };
  std::vector<CompiledModifier> modifiers;
  for (const Modifier& modifier : plan.recipe.modifiers) modifiers.push_back(compile(modifier));
  std::map<std::pair<std::size_t, std::size_t>, scheme::Scheme> scheme_of_group;  // of its first member
  for (const LinearPlan& linear : plan.linears) {
    const scheme::ModuleNames names = names_of(linear.module, plan.spec);
    for (std::size_t m = 0; m < modifiers.size(); ++m) {
      const auto found = modifiers[m].groups.find(names);
      if (!found || fits_any(modifiers[m].ignore, names)) continue;
      const auto& first = scheme_of_group.try_emplace({m, *found}, linear.scheme).first->second;
      PlannedGroup& group = group_for(linear.scheme);
      group.members.push_back(linear.module.path);
      if (first == linear.scheme) {
        for (const std::string& target : modifiers[m].modifier->groups[*found].targets)
          add_once(group.targets, target);
      } else {
        for (const std::string& name : names.names) add_once(group.targets, name);
      }
      break;
    }
  }
  if (groups.size() > 1) name_members(groups, plan);
  for (const PlannedGroup& group : groups) {
    plan.quantization.groups.push_back({.name = fmt::format("group_{}", plan.quantization.groups.size()),
                                        .targets = group.targets,
                                        .scheme = group.scheme});
  }
}

// A pattern of the user stays when it means the same in every spelling; the rest is named explicitly, in
// all spellings, because loaders disagree about which one `ignore` is in.
void fill_ignore(QuantizePlan& plan) {
  std::set<std::string> covered;
  std::vector<std::string>& ignore = plan.quantization.ignore;
  for (const Modifier& modifier : plan.recipe.modifiers) {
    for (const std::string& pattern : modifier.ignore) {
      const scheme::Target target(pattern);
      std::vector<std::string> members;
      bool everywhere = pattern.starts_with("re:");
      for (const std::string& path : plan.ignored) {
        std::size_t fitting = 0;
        const auto names = plan.spec ? spellings(*plan.spec, path) : std::vector<std::string>{path};
        for (const std::string& name : names)
          fitting += target.match({.names = {name}, .class_name = ""}).has_value();
        if (fitting > 0) members.push_back(path);
        everywhere = everywhere && (fitting == 0 || fitting == names.size());
      }
      if (!everywhere || members.empty()) continue;
      add_once(ignore, pattern);
      covered.insert(members.begin(), members.end());
    }
  }
  for (const std::string& path : plan.ignored) {
    if (covered.contains(path)) continue;
    for (const std::string& name : plan.spec ? spellings(*plan.spec, path) : std::vector<std::string>{path})
      add_once(ignore, name);
  }
}

}  // namespace

void describe_quantization(QuantizePlan& plan) {
  fill_groups(plan);
  fill_ignore(plan);
}

}  // namespace farthing::plan
