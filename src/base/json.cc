#include "base/json.h"

#include "base/error.h"
#include "base/file.h"

namespace farthing {

namespace {

template <typename AnyJson>
AnyJson parse(std::string_view text, std::string_view origin) {
  try {
    return AnyJson::parse(text);
  } catch (const nlohmann::detail::exception& error) {
    throw Error(Code::kCorruptData, "not valid JSON", {{"file", origin}, {"reason", error.what()}},
                "the file may be truncated or not be what its name says; fetch it again");
  }
}

}  // namespace

Json parse_json(std::string_view text, std::string_view origin) {
  return parse<Json>(text, origin);
}

Json read_json(const std::filesystem::path& file) {
  return parse<Json>(read_text(file), file.string());
}

SortedJson read_sorted_json(const std::filesystem::path& file) {
  return parse<SortedJson>(read_text(file), file.string());
}

}  // namespace farthing
