#include "base/json.h"

#include "base/error.h"
#include "base/file.h"

namespace farthing {

Json parse_json(std::string_view text, std::string_view origin) {
  try {
    return Json::parse(text);
  } catch (const Json::exception& error) {
    throw Error(Code::kCorruptData, "not valid JSON", {{"file", origin}, {"reason", error.what()}},
                "the file may be truncated or not be what its name says; fetch it again");
  }
}

Json read_json(const std::filesystem::path& file) { return parse_json(read_text(file), file.string()); }

}  // namespace farthing
