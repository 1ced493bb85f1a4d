#include "plan/mixture.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "base/units.h"
#include "plan/mixture_solver.h"
#include "plan/module_patterns.h"

namespace farthing::plan {
namespace {

// What a tensor's entry in the header of a safetensors file takes beside its name, and the rest of a header.
constexpr std::uint64_t kEntryBytes = 120, kFileHeaderBytes = 256;

// Widths that runtimes have kernels for.
std::vector<int> widths_of(const std::string& format) {
  if (format == "compressed-tensors") return {4, 8};
  if (format == "gptq" || format == "gptq_v2") return {2, 3, 4, 8};
  throw Error(Code::kUnsupported, "the format holds one scheme for all linears", {{"format", format}},
              "use --format compressed-tensors or gptq");
}

std::string unit_key(const models::ModuleInfo& module) {
  const std::size_t experts = module.path.find(".experts.");
  return experts != std::string::npos ? module.path.substr(0, experts) + ".experts" : module.input_group;
}

std::string name_of(const std::vector<std::string>& modules) {
  const std::size_t experts = modules.front().find(".experts.");
  if (experts != std::string::npos) return modules.front().substr(0, experts) + ".experts";
  std::string name = modules.front();
  for (std::size_t i = 1; i < modules.size(); ++i)
    name += ", " + modules[i].substr(modules[i].rfind('.') + 1);
  return name;
}

std::uint64_t stored_bits(const formats::WeightWriter& writer, const LinearPlan& linear,
                          const std::optional<scheme::Scheme>& scheme) {
  const models::ModuleInfo& module = linear.module;
  if (!scheme) {
    return static_cast<std::uint64_t>(module.in_features) * static_cast<std::uint64_t>(module.out_features) *
           static_cast<std::uint64_t>(dtype_bits(linear.dtype));
  }
  std::uint64_t bits = 0;
  for (const checkpoint::TensorPlan& tensor : writer.plan_tensors(
           linear.file_module, *scheme, module.out_features, module.in_features, linear.dtype)) {
    bits += static_cast<std::uint64_t>(num_elements(tensor.shape)) *
            static_cast<std::uint64_t>(dtype_bits(tensor.dtype));
  }
  return bits;
}

std::string scheme_name(const LinearPlan& linear, std::optional<scheme::Scheme> scheme) {
  if (!scheme) return std::string(dtype_name(linear.dtype));
  scheme->weights->actorder = scheme::ActivationOrder::kNone;
  return scheme::describe(*scheme);
}

// The one modifier and group that say what the linears become.
const Modifier& only_modifier(const Recipe& recipe) {
  const Modifier* found = nullptr;
  std::size_t groups = 0;
  for (const Modifier& modifier : recipe.modifiers) {
    groups += modifier.groups.size();
    if (!modifier.groups.empty()) found = &modifier;
  }
  FARTHING_REQUIRE(found != nullptr && groups == 1, Code::kUnsupported,
                   "the recipe has several schemes already", {{"recipe", recipe.origin}, {"groups", groups}},
                   "give one scheme, and let the target choose the others");
  return *found;
}

void add_linear(MixtureUnit& unit, const LinearPlan& linear, const formats::WeightWriter& writer,
                const std::string& format) {
  const auto schemes = schemes_beside(linear.scheme, format);
  unit.choices.resize(schemes.size());
  for (std::size_t c = 0; c < schemes.size(); ++c) {
    MixtureChoice& choice = unit.choices[c];
    if (choice.scheme.empty()) choice.scheme = scheme_name(linear, schemes[c]);
    choice.stored_bits += stored_bits(writer, linear, schemes[c]);
  }
  unit.modules.push_back(linear.module.path);
  unit.parameters += linear.module.in_features * linear.module.out_features;
}

[[noreturn]] void out_of_reach(std::string_view target, std::string_view least, std::string_view most,
                               std::string hint) {
  throw Error(Code::kInvalidArgument, "no mixture meets the target",
              {{"target", target}, {"smallest", least}, {"largest", most}}, std::move(hint));
}

MixtureSolver solver_of(const Mixture& mixture) {
  std::vector<std::vector<StorageChoice>> units;
  for (const MixtureUnit& unit : mixture.units) {
    std::vector<StorageChoice>& choices = units.emplace_back();
    for (const MixtureChoice& choice : unit.choices)
      choices.push_back({choice.stored_bits, choice.divergence});
  }
  return MixtureSolver(units);
}

void choose_by_size(Mixture& mixture, const MixtureSolver& solver, const MixtureTarget& target) {
  std::int64_t parameters = mixture.fixed_parameters;
  for (const MixtureUnit& unit : mixture.units) parameters += unit.parameters;
  const auto weights = static_cast<double>(parameters);
  // Bits for units as the target counts, and what the target counts, of so many bits for units.
  const auto text = [&](std::uint64_t bits) {
    return target.bits ? fmt::format("{:.3f} bits", static_cast<double>(mixture.fixed_bits + bits) / weights)
                       : format_bytes(mixture.other_bytes + (mixture.fixed_bits + bits) / 8);
  };
  const double wanted =
      target.bits ? *target.bits * weights - static_cast<double>(mixture.fixed_bits)
                  : 8 * (static_cast<double>(*target.bytes) - static_cast<double>(mixture.other_bytes)) -
                        static_cast<double>(mixture.fixed_bits);
  const std::string wish = target.bits ? fmt::format("{} bits", *target.bits) : format_bytes(*target.bytes);
  if (wanted < static_cast<double>(solver.smallest_bits())) {
    out_of_reach(wish, text(solver.smallest_bits()), text(solver.largest_bits()),
                 "give a larger target, or a --scheme with fewer --bits or a larger --group-size");
  }
  if (wanted >= static_cast<double>(solver.largest_bits())) {
    out_of_reach(wish, text(solver.smallest_bits()), text(solver.largest_bits()),
                 "that leaves every linear as it is: give a smaller target");
  }
  const std::vector<std::size_t> chosen = solver.within(static_cast<std::uint64_t>(wanted));
  for (std::size_t u = 0; u < chosen.size(); ++u) mixture.units[u].chosen = chosen[u];
}

void choose_by_divergence(Mixture& mixture, const MixtureSolver& solver, double most, double together) {
  double dearest = 0, cheapest = 0;  // of everything small, and of the one unit that costs least
  for (const MixtureUnit& unit : mixture.units) {
    dearest += unit.choices.front().divergence;
    for (const MixtureChoice& choice : unit.choices) {
      if (choice.divergence > 0 && (cheapest == 0 || choice.divergence < cheapest))
        cheapest = choice.divergence;
    }
  }
  const auto chosen = solver.costing(most / together);
  if (chosen) {
    for (std::size_t u = 0; u < chosen->size(); ++u) mixture.units[u].chosen = (*chosen)[u];
  }
  const bool is_mixture = chosen && std::ranges::any_of(mixture.units, [](const MixtureUnit& unit) {
                            return unit.chosen + 1 < unit.choices.size();
                          });
  if (!is_mixture) {
    out_of_reach(fmt::format("divergence {}", most), fmt::format("{:.3g}", cheapest * together),
                 fmt::format("{:.3g}", dearest * together), "allow a larger --max-kl");
  }
}

}  // namespace

std::vector<std::optional<scheme::Scheme>> schemes_beside(const scheme::Scheme& base,
                                                          const std::string& format) {
  const scheme::QuantizationArgs& weights = *base.weights;
  const std::vector<int> widths = widths_of(format);
  FARTHING_REQUIRE(!scheme::is_blockwise(weights) && !scheme::is_llm_int8(weights), Code::kUnsupported,
                   "the scheme cannot be mixed with others", {{"scheme", scheme::describe(base)}},
                   "use --scheme W4A16, FP8_DYNAMIC or NVFP4");
  std::vector<std::optional<scheme::Scheme>> schemes = {base};
  if (weights.type == NumberType::kInt && !base.input_activations) {
    for (const int width : widths) {
      if (width <= weights.num_bits) continue;
      scheme::Scheme wider = base;
      wider.weights->num_bits = width;
      schemes.emplace_back(std::move(wider));
    }
  } else if (weights.type == NumberType::kFloat && weights.num_bits == 4) {
    schemes.emplace_back(scheme::preset("FP8_DYNAMIC"));
  }
  schemes.emplace_back(std::nullopt);
  return schemes;
}

std::uint64_t Mixture::unit_bits() const {
  std::uint64_t bits = 0;
  for (const MixtureUnit& unit : units) bits += unit.choice().stored_bits;
  return bits;
}

double Mixture::bits_per_weight() const {
  std::int64_t parameters = fixed_parameters;
  for (const MixtureUnit& unit : units) parameters += unit.parameters;
  return static_cast<double>(fixed_bits + unit_bits()) /
         static_cast<double>(std::max<std::int64_t>(parameters, 1));
}

std::uint64_t Mixture::bytes() const {
  return other_bytes + (fixed_bits + unit_bits()) / 8;
}

double Mixture::divergence() const {
  double sum = 0;
  for (const MixtureUnit& unit : units) sum += unit.choice().divergence;
  return sum;
}

Mixture mixture_of(const QuantizePlan& smallest) {
  only_modifier(smallest.recipe);
  const auto writer = formats::writer_for(smallest.format);
  Mixture mixture;
  std::map<std::string, std::size_t> known;
  for (const LinearPlan& linear : smallest.linears) {
    if (linear.module.block < 0) {
      mixture.fixed_bits += stored_bits(*writer, linear, linear.scheme);
      mixture.fixed_parameters += linear.module.in_features * linear.module.out_features;
      continue;
    }
    const auto [entry, is_new] = known.try_emplace(unit_key(linear.module), mixture.units.size());
    if (is_new) mixture.units.emplace_back();
    add_linear(mixture.units[entry->second], linear, *writer, smallest.format);
  }
  for (MixtureUnit& unit : mixture.units) unit.name = name_of(unit.modules);
  FARTHING_REQUIRE(!mixture.units.empty(), Code::kUnsupported, "no linear of a block is quantized",
                   {{"linears", smallest.linears.size()}}, "target more, or leave the target out");
  std::uint64_t headers = kFileHeaderBytes * (1 + smallest.copied.size() / 16);
  for (const checkpoint::TensorPlan& tensor : smallest.tensors) headers += tensor.name.size() + kEntryBytes;
  mixture.other_bytes = headers + smallest.bytes_out - (mixture.fixed_bits + mixture.unit_bits()) / 8;
  return mixture;
}

void choose(Mixture& mixture, const MixtureTarget& target, double together) {
  const MixtureSolver solver = solver_of(mixture);
  if (target.divergence)
    choose_by_divergence(mixture, solver, *target.divergence, together);
  else
    choose_by_size(mixture, solver, target);
}

Recipe with_mixture(Recipe recipe, const Mixture& mixture, const QuantizePlan& smallest) {
  const std::string& name = only_modifier(recipe).name;
  Modifier& modifier = *std::ranges::find_if(recipe.modifiers, [&](const Modifier& candidate) {
    return candidate.name == name && !candidate.groups.empty();
  });
  const scheme::ConfigGroup base = modifier.groups.front();
  const auto schemes = schemes_beside(base.scheme, smallest.format);
  for (std::size_t c = 1; c < schemes.size(); ++c) {
    std::vector<std::string> paths;
    for (const MixtureUnit& unit : mixture.units)
      if (unit.chosen == c) paths.insert(paths.end(), unit.modules.begin(), unit.modules.end());
    if (paths.empty()) continue;
    std::vector<std::string> patterns = patterns_for(smallest, paths);
    if (!schemes[c]) {
      modifier.ignore.insert(modifier.ignore.end(), patterns.begin(), patterns.end());
      continue;
    }
    modifier.groups.push_back({.name = fmt::format("group_{}", modifier.groups.size()),
                               .targets = std::move(patterns),
                               .scheme = *schemes[c]});
  }
  recipe.text.clear();  // it says something else now
  return recipe;
}

Json to_json(const Mixture& mixture) {
  Json units = Json::array();
  for (const MixtureUnit& unit : mixture.units) {
    Json choices = Json::array();
    for (const MixtureChoice& choice : unit.choices) {
      choices.push_back({{"scheme", choice.scheme},
                         {"bits_per_weight",
                          static_cast<double>(choice.stored_bits) / static_cast<double>(unit.parameters)},
                         {"kl", choice.divergence}});
    }
    units.push_back({{"name", unit.name},
                     {"modules", unit.modules},
                     {"parameters", unit.parameters},
                     {"scheme", unit.choice().scheme},
                     {"bits_per_weight", unit.bits_per_weight()},
                     {"kl", unit.choice().divergence},
                     {"choices", std::move(choices)}});
  }
  return {{"bits_per_weight", mixture.bits_per_weight()},
          {"bytes", mixture.bytes()},
          {"kl_predicted", mixture.divergence()},
          {"units", std::move(units)}};
}

}  // namespace farthing::plan
