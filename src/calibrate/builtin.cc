#include "calibrate/builtin.h"

#include "base/error.h"
#include "models/prompt.h"

namespace farthing::calibrate {
namespace {

std::vector<Record> chats() {
  std::vector<Record> records;
  for (const BuiltinFile& file : builtin_files()) {
    if (file.name != "chats.jsonl") continue;
    for (std::size_t at = 0; at < file.bytes.size();) {
      const std::size_t end = std::min(file.bytes.find('\n', at), file.bytes.size());
      const Json row = parse_json(file.bytes.substr(at, end - at), "built-in chats");
      records.push_back(
          {.origin = fmt::format("builtin:{}", records.size() + 1), .messages = row.at("messages")});
      at = end + 1;
    }
  }
  return records;
}

std::vector<Record> photos(const RecordOptions& options) {
  std::vector<Record> records;
  for (const BuiltinFile& file : builtin_files()) {
    if (!file.name.ends_with(".jpg")) continue;
    Record record{.origin = fmt::format("builtin:{}", file.name)};
    record.embedded_images.emplace_back(file.name, file.bytes);
    record.messages = models::picture_question(options.question, options.system);
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace

std::vector<Record> builtin_records(const RecordOptions& options) {
  return options.pictures ? photos(options) : chats();
}

}  // namespace farthing::calibrate
