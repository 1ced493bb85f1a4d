#include "quantize/journal.h"

#include "base/error.h"
#include "base/file.h"

namespace farthing::quantize {
namespace {

// Journals are written whole or not at all; one that cannot be read was damaged later, and so may be the
// tensors beside it.
Json read(const std::filesystem::path& file) {
  Json journal = Json::parse(read_text(file), nullptr, false);
  FARTHING_REQUIRE(journal.is_object() && journal.contains("fingerprint") && journal.contains("blocks") &&
                       journal["blocks"].is_object(),
                   Code::kCorruptData, "the journal of an unfinished run is damaged",
                   {{"file", file.string()}}, "add --no-resume to start over");
  return journal;
}

}  // namespace

Journal::Journal(const std::filesystem::path& directory, std::string fingerprint)
    : file_(directory / "journal.json"), fingerprint_(std::move(fingerprint)) {
  if (!std::filesystem::exists(file_)) return;
  const Json journal = read(file_);
  FARTHING_REQUIRE(journal["fingerprint"] == fingerprint_, Code::kInvalidArgument,
                   "an unfinished run with other settings is in the way",
                   {{"folder", file_.parent_path().string()}},
                   "run that command again to finish it, or add --no-resume to start over");
  for (const auto& [name, facts] : journal["blocks"].items()) blocks_[name] = facts;
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
