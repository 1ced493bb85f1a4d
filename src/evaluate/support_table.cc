#include "evaluate/support_table.h"

#include <algorithm>

#include "base/error.h"
#include "evaluate/consumer_profile.h"
#include "formats/gguf/mixture.h"
#include "formats/weight_format.h"
#include "plan/recipe.h"

namespace farthing::evaluate {
namespace {

// Rows and columns that every tile and group size divides.
constexpr std::int64_t kSize = 1024;

bool holds(std::string_view format, const scheme::Scheme& scheme) {
  const std::string_view version = formats::writer_for(format)->name_for(std::span(&scheme, 1));
  try {
    formats::writer_for(version)->check(scheme, kSize, kSize);
    return true;
  } catch (const Error& error) {
    if (error.code() != Code::kUnsupported) throw;
    return false;
  }
}

// The quant_method that a format's config states.
std::string_view stored_method(std::string_view format) {
  return format == "gptq_v2" ? "gptq" : format;
}

std::vector<std::string_view> consumers_of(std::string_view method, const scheme::Scheme& scheme) {
  std::vector<std::string_view> names;
  for (const ConsumerProfile& consumer : consumer_profiles()) {
    if (std::ranges::find(consumer.methods, method) != consumer.methods.end() &&
        refusal(consumer, method, scheme).empty())
      names.push_back(consumer.name);
  }
  return names;
}

}  // namespace

std::vector<SchemeSupport> support_table() {
  std::vector<SchemeSupport> table;
  for (const std::string_view name : scheme::preset_names()) {
    const scheme::Scheme scheme = scheme::preset(name);
    if (!scheme.weights) continue;
    SchemeSupport row{.scheme = name, .methods = plan::methods_for(scheme)};
    for (const std::string_view format : formats::writer_names()) {
      if (holds(format, scheme)) row.formats.push_back({format, consumers_of(stored_method(format), scheme)});
    }
    table.push_back(std::move(row));
  }
  for (const formats::gguf::Mixture& mixture : formats::gguf::mixtures())
    table.push_back({.scheme = mixture.name, .methods = {"rtn"}, .formats = {{"gguf", {"llama.cpp"}}}});
  return table;
}

}  // namespace farthing::evaluate
