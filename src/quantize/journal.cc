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

Json to_json(const plan::LayerResult& layer) {
  return {{"name", layer.name},
          {"method", layer.method},
          {"scheme", layer.scheme},
          {"mse", layer.mse},
          {"relative_error", layer.relative_error},
          {"sqnr_db", layer.sqnr_db},
          {"seconds", layer.seconds},
          {"dampening", layer.dampening},
          {"file_mse", layer.file_mse}};
}

plan::LayerResult layer_from_json(const Json& json) {
  return {.name = json.at("name"),
          .method = json.at("method"),
          .scheme = json.at("scheme"),
          .mse = json.at("mse"),
          .relative_error = json.at("relative_error"),
          .sqnr_db = json.at("sqnr_db"),
          .seconds = json.at("seconds"),
          .dampening = json.at("dampening"),
          .file_mse = json.at("file_mse")};
}

void add_source(const checkpoint::Checkpoint& source, Sha256& fingerprint) {
  for (const auto& tensor : source.tensors()) {
    fingerprint.update(fmt::format("{} {} {} {} {}\n", tensor.name, dtype_name(tensor.dtype),
                                   to_string(tensor.shape), tensor.file.filename().string(), tensor.offset));
  }
}

void add_samples(const calibrate::CalibrationSet& calibration, Sha256& fingerprint) {
  for (const auto& sample : calibration.samples) {
    fingerprint.update(std::as_bytes(std::span(sample.prompt.ids)));
    for (const auto& [name, tensor] : sample.prompt.pictures) fingerprint.update(tensor.bytes());
  }
}

}  // namespace farthing::quantize
