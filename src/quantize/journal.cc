#include "quantize/journal.h"

#include "base/error.h"
#include "base/file.h"

namespace farthing::quantize {

Journal::Journal(std::filesystem::path directory, std::string fingerprint)
    : file_(std::move(directory) / "journal.json"), fingerprint_(std::move(fingerprint)) {
  if (!std::filesystem::exists(file_)) return;
  const Json journal = read_json(file_);
  FARTHING_REQUIRE(journal.value("fingerprint", "") == fingerprint_, Code::kInvalidArgument,
                   "an unfinished run with other settings is in the way",
                   {{"folder", file_.parent_path().string()}},
                   "run that command again to finish it, or add --no-resume to start over");
  for (const auto& [name, facts] : journal.at("blocks").items()) blocks_[name] = facts;
}

const Json* Journal::find(const std::string& name) const {
  const auto found = blocks_.find(name);
  return found == blocks_.end() ? nullptr : &found->second;
}

void Journal::note(const std::string& name, Json facts) {
  blocks_[name] = std::move(facts);
  write_text_atomically(file_,
                        Json{{"schema", 1}, {"fingerprint", fingerprint_}, {"blocks", blocks_}}.dump(1));
}

void Journal::remove() {
  std::filesystem::remove(file_);
}

}  // namespace farthing::quantize
