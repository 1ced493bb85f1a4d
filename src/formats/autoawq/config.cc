#include "formats/autoawq/config.h"

#include <algorithm>

#include "base/error.h"
#include "formats/skip_list.h"

namespace farthing::formats::autoawq {
namespace {

const Json* find(const Json& block, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    const auto found = block.find(key);
    if (found != block.end() && !found->is_null()) return &*found;
  }
  return nullptr;
}

[[noreturn]] void refuse(Code code, std::string_view problem, std::string_view key, const Json& value,
                         std::string hint = {}) {
  throw Error(code, std::string(problem), {{"key", key}, {"value", value.dump()}}, std::move(hint));
}

Version parse_version(const Json* value) {
  if (value == nullptr) return Version::kGemm;
  if (!value->is_string()) refuse(Code::kCorruptData, "not a text", "version", *value);
  std::string name = value->get<std::string>();
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  // exllama and ipex are other kernels for the same files.
  if (name == "gemm" || name == "exllama" || name == "ipex") return Version::kGemm;
  if (name == "gemv") return Version::kGemv;
  if (name == "gemv_fast" || name == "llm-awq") return Version::kGemvFast;
  refuse(Code::kUnsupported, "this packing of AWQ weights is not read", "version", *value,
         "known ones are gemm, gemv and gemv_fast");
}

}  // namespace

Config parse_config(const Json& block) {
  FARTHING_REQUIRE(block.is_object(), Code::kCorruptData, "the AWQ configuration is not an object");
  if (const Json* bits = find(block, {"bits", "w_bit"}); bits != nullptr && *bits != 4)
    refuse(Code::kUnsupported, "AWQ weights have 4 bits", "bits", *bits);
  Config config{.version = parse_version(find(block, {"version"}))};
  if (const Json* group = find(block, {"group_size", "q_group_size"})) {
    if (!group->is_number_integer() || *group == 0 || *group < -1)
      refuse(Code::kCorruptData, "group_size is not possible", "group_size", *group);
    config.group_size = group->get<std::int64_t>();
  }
  return config;
}

scheme::Scheme scheme_of(const Config& config) {
  scheme::QuantizationArgs args{.num_bits = 4, .symmetric = false};
  args.strategy = config.group_size > 0 ? scheme::Strategy::kGroup : scheme::Strategy::kChannel;
  if (config.group_size > 0) args.group_size = config.group_size;
  return {.weights = std::move(args)};
}

Json config_json(const ModelQuantization& model) {
  FARTHING_CHECK(!model.groups.empty());
  const scheme::QuantizationArgs& args = *model.groups.front().scheme.weights;
  for (const scheme::ConfigGroup& group : model.groups) {
    FARTHING_REQUIRE(
        group.scheme.weights->group_size == args.group_size, Code::kUnsupported,
        "AWQ files have one group size for all weights",
        {{"first", args.group_size.value_or(-1)}, {"other", group.scheme.weights->group_size.value_or(-1)}},
        "choose a group size that divides every weight, or ignore some of them");
  }
  const std::vector<std::string> skipped = skip_list(model.ignore);
  return {{"bits", 4},
          {"group_size", args.group_size.value_or(-1)},
          {"modules_to_not_convert", skipped.empty() ? Json() : Json(skipped)},
          {"quant_method", "awq"},
          {"version", "gemm"},
          {"zero_point", true}};
}

}  // namespace farthing::formats::autoawq
