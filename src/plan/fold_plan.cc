#include "plan/fold_plan.h"

#include <algorithm>
#include <regex>
#include <set>

#include "base/error.h"
#include "plan/modifier_match.h"

namespace farthing::plan {
namespace {

using scheme::Target;

// One mapping of a recipe, compiled.
struct CompiledMapping {
  const MappingPattern* pattern;
  Target smooth;
  std::vector<Target> balance;
  bool found = false;  // fits a pair of the family
};

class FoldPlanner {
 public:
  FoldPlanner(QuantizePlan& plan, const WeightPlaces& places) : plan_(plan), places_(places) {
    for (const models::ModuleInfo& module : places.modules) linears_.emplace(module.path, &module);
    for (const LinearPlan& linear : plan.linears) {
      quantized_.insert(linear.module.path);
      if (linear.part) cut_.insert(linear.part->whole.substr(0, linear.part->whole.rfind('.')));
    }
    for (BlockPlan& block : plan.blocks)
      if (block.index >= 0 && !block.is_audio) blocks_.emplace(block.path + ".", &block);
    pairs_ = models::folding_pairs_of(*plan.spec);
  }

  void add(std::size_t index) {
    const Transform& transform = plan_.recipe.transforms[index];
    std::vector<CompiledMapping> mappings;
    for (const MappingPattern& pattern : transform.mappings) {
      mappings.push_back({.pattern = &pattern, .smooth = Target(pattern.smooth)});
      for (const std::string& balance : pattern.balance) mappings.back().balance.emplace_back(balance);
    }
    std::vector<Target> ignore;
    for (const std::string& pattern : transform.ignore) ignore.emplace_back(pattern);
    for (const models::FoldingPair& pair : pairs_) {
      BlockPlan* block = block_of(pair.smooth);
      if (block == nullptr) continue;
      FoldPlan fold{.transform = index, .pair = pair};
      fold.measured = mappings.empty() ? derived(transform, pair) : wanted(pair, mappings);
      const bool quantized = std::any_of(fold.measured.begin(), fold.measured.end(),
                                         [&](const std::string& path) { return quantized_.contains(path); });
      if (!quantized || fits_any(ignore, names(pair.smooth))) continue;
      if (!can_change(pair)) {
        plan_.deviations.push_back(
            {pair.smooth, "experts that stay as they are read it: it keeps its scale"});
        continue;
      }
      FARTHING_REQUIRE(folded_.insert(pair.smooth).second, Code::kUnsupported,
                       "two transforms would move a scale out of the same layer", {{"layer", pair.smooth}},
                       "give each of them mappings of its own");
      block->folds.push_back(std::move(fold));
    }
    report_unused(transform, mappings);
    report_unfolded(index);
    note_scales(index);
  }

  void list_rewritten() {
    for (BlockPlan& block : plan_.blocks) {
      for (const FoldPlan& fold : block.folds) {
        for (const std::string& name : changed_by(fold.pair)) rewrite(block, name);
      }
    }
  }

 private:
  scheme::ModuleNames names(const std::string& path) const {
    return {.names = spellings(*plan_.spec, path), .class_name = ""};
  }

  BlockPlan* block_of(const std::string& path) const {
    for (const auto& [prefix, block] : blocks_)
      if (path.starts_with(prefix)) return block;
    return nullptr;
  }

  // SmoothQuant moves what norms give; what linears give each other stays, as its authors have it.
  std::vector<std::string> derived(const Transform& transform, const models::FoldingPair& pair) const {
    if (transform.kind == TransformKind::kSmoothQuant && linears_.contains(pair.smooth)) return {};
    return pair.balance;
  }

  // The readers that the first fitting mapping names. A scale always goes to all of them, or the model would
  // change.
  std::vector<std::string> wanted(const models::FoldingPair& pair, std::vector<CompiledMapping>& mappings) {
    for (CompiledMapping& mapping : mappings) {
      if (!mapping.smooth.match(names(pair.smooth))) continue;
      std::vector<std::string> readers;
      for (const std::string& path : pair.balance)
        if (fits_any(mapping.balance, names(path))) readers.push_back(path);
      if (readers.empty()) continue;
      mapping.found = true;
      if (readers.size() < pair.balance.size()) {
        plan_.deviations.push_back(
            {pair.smooth, "linears that the mapping does not name read it too, and take its scale"});
      }
      return readers;
    }
    return {};
  }

  void report_unused(const Transform& transform, const std::vector<CompiledMapping>& mappings) {
    const bool any = mappings.empty() || std::any_of(mappings.begin(), mappings.end(),
                                                     [](const auto& mapping) { return mapping.found; });
    FARTHING_REQUIRE(any, Code::kInvalidArgument, "no mapping fits a place where a scale can move",
                     {{"modifier", transform.name}, {"recipe", plan_.recipe.origin}},
                     "leave mappings out: those of the family are known");
    for (const CompiledMapping& mapping : mappings) {
      if (!mapping.found)
        plan_.deviations.push_back(
            {mapping.pattern->smooth,
             fmt::format("no scale can move from it to {} in this model: mapping left out",
                         fmt::join(mapping.pattern->balance, ", "))});
    }
  }

  // Quantized blocks in which nothing moves are said; a mapping of the user's says so itself.
  void report_unfolded(std::size_t index) {
    const Transform& transform = plan_.recipe.transforms[index];
    if (!transform.mappings.empty()) return;
    for (const BlockPlan& block : plan_.blocks) {
      const bool folds = std::any_of(block.folds.begin(), block.folds.end(),
                                     [&](const FoldPlan& fold) { return fold.transform == index; });
      if (block.index >= 0 && !block.steps.empty() && !folds)
        plan_.deviations.push_back({block.path, fmt::format("no scale can move here: quantized without {}",
                                                            transform_name(transform.kind))});
    }
  }

  // "awq: 24 scales move; without one: self_attn.o_proj".
  void note_scales(std::size_t index) {
    std::set<std::string> taking, without;
    std::size_t count = 0;
    for (const BlockPlan& block : plan_.blocks) {
      for (const FoldPlan& fold : block.folds) {
        if (fold.transform != index) continue;
        taking.insert(fold.pair.balance.begin(), fold.pair.balance.end());
        ++count;
      }
    }
    for (const BlockPlan& block : plan_.blocks) {
      if (block.index < 0) continue;
      for (const Step& step : block.steps)
        for (const std::size_t linear : step.linears)
          if (const std::string& path = plan_.linears[linear].module.path; !taking.contains(path))
            without.insert(without_numbers(path.substr(block.path.size() + 1)));
    }
    std::string note =
        fmt::format("{}: {} scales move", transform_name(plan_.recipe.transforms[index].kind), count);
    if (!without.empty()) note += fmt::format("; none into {}", fmt::join(without, ", "));
    plan_.notes.push_back(std::move(note));
  }

  // "experts.3.down_proj" is one of many.
  static std::string without_numbers(const std::string& path) {
    static const std::regex kNumber("\\.\\d+\\.");
    return std::regex_replace(path, kNumber, ".*.");
  }

  // The tensors beside quantized weights that a fold changes.
  std::vector<std::string> changed_by(const models::FoldingPair& pair) const {
    std::vector<std::string> names = {pair.smooth + ".weight", pair.smooth + ".bias"};
    for (const std::string& path : pair.balance) names.push_back(path + ".weight");
    std::erase_if(names, [&](const std::string& name) {
      const bool is_weight = name.ends_with(".weight");
      return is_weight && quantized_.contains(name.substr(0, name.rfind('.')));
    });
    return names;
  }

  // Weights of experts that lie together are written one by one only where some of them are quantized.
  bool can_change(const models::FoldingPair& pair) const {
    const std::vector<std::string> names = changed_by(pair);
    return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
      const auto part = places_.parts.find(name);
      return places_.files.contains(name) || part == places_.parts.end() || is_cut(part->second.whole);
    });
  }

  // "experts.gate_up_proj" and its bias "experts.gate_up_proj_bias" lie under the same experts.
  bool is_cut(const std::string& whole) const { return cut_.contains(whole.substr(0, whole.rfind('.'))); }

  void rewrite(BlockPlan& block, const std::string& name) {
    const std::string file_name = file_name_of(name);
    const bool known = std::any_of(block.rewritten.begin(), block.rewritten.end(),
                                   [&](const RewrittenTensor& tensor) { return tensor.name == name; });
    if (known || file_name.empty()) return;  // empty: a norm or linear without bias
    const auto linear =
        name.ends_with(".weight") ? linears_.find(name.substr(0, name.rfind('.'))) : linears_.end();
    RewrittenTensor tensor{.name = name, .file_name = file_name};
    if (linear != linears_.end()) {
      tensor.linear = linear->first;
      tensor.transposed = linear->second->class_name == "Conv1D";
    }
    block.rewritten.push_back(std::move(tensor));
  }

  std::string file_name_of(const std::string& name) const {
    if (const auto file = places_.files.find(name); file != places_.files.end()) return file->second;
    const auto part = places_.parts.find(name);
    if (part == places_.parts.end()) return {};
    return models::part_name(part->second, name, places_.files.at(part->second.whole));
  }

  QuantizePlan& plan_;
  const WeightPlaces& places_;
  std::vector<models::FoldingPair> pairs_;
  std::map<std::string, const models::ModuleInfo*> linears_;
  std::set<std::string> quantized_, folded_, cut_;  // cut_: paths of experts whose tensors are taken apart
  std::map<std::string, BlockPlan*> blocks_;        // by "path."
};

}  // namespace

void plan_folds(QuantizePlan& plan, const WeightPlaces& places) {
  if (plan.recipe.transforms.empty()) return;
  FARTHING_REQUIRE(plan.spec, Code::kUnsupported,
                   "nobody declared this family, so it is not known where scales can move",
                   {{"modifier", plan.recipe.transforms.front().name}}, "use --method rtn");
  FoldPlanner planner(plan, places);
  for (std::size_t i = 0; i < plan.recipe.transforms.size(); ++i) planner.add(i);
  planner.list_rewritten();
  for (const BlockPlan& block : plan.blocks)
    plan.needs_calibration = plan.needs_calibration || !block.folds.empty();
}

}  // namespace farthing::plan
