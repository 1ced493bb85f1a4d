#include "calibrate/record.h"

#include <algorithm>
#include <array>
#include <limits>

#include <zlib.h>

#include "base/error.h"
#include "base/file.h"
#include "calibrate/builtin.h"
#include "calibrate/dataset_names.h"
#include "models/prompt.h"

namespace farthing::calibrate {
namespace {

namespace fs = std::filesystem;

std::string lower_extension(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return extension;
}

bool is_picture(const fs::path& path) {
  static constexpr std::array kExtensions = {".jpg", ".jpeg", ".png", ".bmp", ".webp"};
  const std::string extension = lower_extension(path);
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

// gzread passes plain files through, so one reader serves both.
std::string read_maybe_compressed(const fs::path& file) {
  if (lower_extension(file) != ".gz") return read_text(file);
  const gzFile handle = gzopen(file.c_str(), "rb");
  FARTHING_REQUIRE(handle != nullptr, Code::kIo, "cannot open file", {{"file", file.string()}});
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> closer(handle, gzclose);
  std::string text;
  std::array<char, 1 << 16> buffer;
  for (;;) {
    const int count = gzread(handle, buffer.data(), buffer.size());
    FARTHING_REQUIRE(count >= 0, Code::kCorruptData, "compressed file is damaged", {{"file", file.string()}},
                     "fetch it again");
    if (count == 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  int state = Z_OK;  // gzread is silent about a stream without its end
  gzerror(handle, &state);
  FARTHING_REQUIRE(state == Z_OK, Code::kCorruptData, "compressed file ends early", {{"file", file.string()}},
                   "fetch it again");
  return text;
}

// Documents of a text file: what stands between blank lines.
std::vector<Record> documents_of(const std::string& text, const std::string& origin) {
  std::vector<Record> records;
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t end = text.find("\n\n", at);
    if (end == std::string::npos) end = text.size();
    const std::string document = text.substr(at, end - at);
    if (document.find_first_not_of(" \t\r\n") != std::string::npos) {
      records.push_back(
          {.origin = fmt::format("{}:{}", origin, records.size() + 1), .text = document, .joinable = true});
    }
    at = end + 2;
  }
  return records;
}

// The text under `key`; an absent one is empty.
std::string text_at(const Json& object, const char* key, const std::string& origin) {
  const auto found = object.find(key);
  if (found == object.end()) return {};
  FARTHING_REQUIRE(found->is_string(), Code::kCorruptData, "a field of the calibration record must be a text",
                   {{"record", origin}, {"field", key}, {"given", found->type_name()}});
  return *found;
}

void require_object(const Json& value, const char* message, const std::string& origin) {
  FARTHING_REQUIRE(value.is_object(), Code::kCorruptData, message,
                   {{"record", origin}, {"given", value.type_name()}});
}

// What templates and the functions below rely on: roles are texts, contents texts or lists of typed parts.
// Content may be absent, as where an assistant only calls a tool.
void check_messages(const Json& messages, const std::string& origin) {
  for (const Json& message : messages) {
    require_object(message, "a message of the calibration record is not a JSON object", origin);
    FARTHING_REQUIRE(message.contains("role"), Code::kCorruptData,
                     "a message of the calibration record has no role", {{"record", origin}},
                     R"(write it like {"role": "user", "content": "Hello"})");
    text_at(message, "role", origin);
    const auto content = message.find("content");
    if (content == message.end() || content->is_null()) continue;
    if (!content->is_array()) {
      text_at(message, "content", origin);
      continue;
    }
    for (const Json& part : *content) {
      require_object(part, "a part of a message's content is not a JSON object", origin);
      text_at(part, "type", origin);
      text_at(part, "text", origin);
    }
  }
}

// LLaVA's {"from": "human", "value": "<image>\nWhat ..."} as the {role, content} that templates read.
Json messages_from_conversation(const Json& conversation, const std::string& origin) {
  static const std::string kMark = "<image>";
  Json messages = Json::array();
  for (const Json& turn : conversation) {
    require_object(turn, "a turn of the calibration record is not a JSON object", origin);
    const std::string from = text_at(turn, "from", origin);
    std::string value = text_at(turn, "value", origin);
    Json parts = Json::array();
    for (std::size_t at = value.find(kMark); at != std::string::npos; at = value.find(kMark)) {
      parts.push_back({{"type", "image"}});
      value.erase(at, kMark.size());
    }
    value.erase(0, std::min(value.find_first_not_of('\n'), value.size()));
    const std::string role = from == "human" || from == "user" ? "user"
                             : from == "system"                ? "system"
                                                               : "assistant";
    if (parts.empty()) {
      messages.push_back({{"role", role}, {"content", value}});
    } else {
      parts.push_back({{"type", "text"}, {"text", value}});
      messages.push_back({{"role", role}, {"content", parts}});
    }
  }
  return messages;
}

void add_path(const Record& record, const Json& value, const fs::path& folder, std::vector<fs::path>& paths) {
  if (value.is_null()) return;  // rows without a picture among rows with one
  FARTHING_REQUIRE(value.is_string(), Code::kCorruptData, "a picture or sound must be given by its path",
                   {{"record", record.origin}, {"given", value.type_name()}});
  fs::path path = value.get<std::string>();
  paths.push_back(path.is_absolute() ? path : folder / path);
}

// The paths under any of the keys, one or a list.
void add_paths(const Record& record, const Json& row, std::initializer_list<const char*> keys,
               const fs::path& folder, std::vector<fs::path>& paths) {
  for (const char* key : keys) {
    if (!row.contains(key)) continue;
    const Json list = row[key].is_array() ? row[key] : Json::array({row[key]});
    for (const Json& value : list) add_path(record, value, folder, paths);
  }
}

// Pictures named inside the content parts, in order: {"type": "image", "image": "a.jpg"}.
void add_pictures_of_messages(Record& record, const fs::path& folder) {
  for (const Json& message : record.messages) {
    const auto content = message.find("content");
    if (content == message.end() || !content->is_array()) continue;
    for (const Json& part : *content) {
      for (const char* key : {"image", "path", "url"}) {
        if (part.is_object() && part.value("type", "") == "image" && part.contains(key)) {
          add_path(record, part[key], folder, record.images);
          break;
        }
      }
    }
  }
}

// A chat that names pictures beside its messages but has no part for them: they come first in the first user
// turn.
void place_pictures(Record& record) {
  std::size_t parts = 0;
  for (const Json& message : record.messages) {
    const auto content = message.find("content");
    if (content == message.end() || !content->is_array()) continue;
    for (const Json& part : *content) parts += part.is_object() && part.value("type", "") == "image";
  }
  if (parts > 0 || record.images.empty()) return;
  for (Json& message : record.messages) {
    if (message.value("role", "") != "user") continue;
    Json content = Json::array();
    for (std::size_t i = 0; i < record.images.size(); ++i) content.push_back({{"type", "image"}});
    if (message["content"].is_string())
      content.push_back({{"type", "text"}, {"text", message["content"]}});
    else
      for (const Json& part : message["content"]) content.push_back(part);
    message["content"] = std::move(content);
    return;
  }
}

Record record_from_json(const Json& row, std::string origin, const fs::path& folder) {
  Record record{.origin = std::move(origin)};
  FARTHING_REQUIRE(row.is_object(), Code::kCorruptData, "calibration record is not a JSON object",
                   {{"record", record.origin}});
  add_paths(record, row, {"image", "images"}, folder, record.images);
  add_paths(record, row, {"audio", "audios"}, folder, record.sounds);
  if (row.contains("input_ids") && row["input_ids"].is_array()) {
    for (const Json& id : row["input_ids"]) {
      FARTHING_REQUIRE(id.is_number_integer() && id >= 0 && id <= std::numeric_limits<std::int32_t>::max(),
                       Code::kCorruptData, "input_ids must be token ids",
                       {{"record", record.origin}, {"given", id.dump()}});
      record.ids.push_back(id.get<std::int32_t>());
    }
  } else if (row.contains("messages") && row["messages"].is_array()) {
    record.messages = row["messages"];
    check_messages(record.messages, record.origin);
    add_pictures_of_messages(record, folder);
  } else if (row.contains("conversations") && row["conversations"].is_array()) {
    record.messages = messages_from_conversation(row["conversations"], record.origin);
  } else if (row.contains("text") && row["text"].is_string()) {
    record.text = row["text"];
  } else {
    throw Error(Code::kInvalidArgument, "calibration record has none of the known fields",
                {{"record", record.origin}},
                "give each record a \"text\", \"messages\", \"conversations\" or \"input_ids\"");
  }
  if (!record.messages.is_null()) place_pictures(record);
  return record;
}

std::vector<Record> read_json_records(const fs::path& file) {
  const std::string text = read_maybe_compressed(file);
  const std::string name = file.filename().string();
  std::vector<Record> records;
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '[') {
    for (const Json& row : parse_json(text, file.string())) {
      records.push_back(
          record_from_json(row, fmt::format("{}:{}", name, records.size() + 1), file.parent_path()));
    }
    return records;
  }
  std::size_t line_number = 0;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string origin = fmt::format("{}:{}", name, line_number);
    records.push_back(record_from_json(parse_json(line, fmt::format("{}:{}", file.string(), line_number)),
                                       origin, file.parent_path()));
  }
  return records;
}

Record picture_record(const fs::path& picture, const RecordOptions& options) {
  return {.origin = picture.filename().string(),
          .messages = models::picture_question(options.question, options.system),
          .images = {picture}};
}

// Debian has no library that reads parquet.
std::string how_to_export(const fs::path& parquet) {
  return fmt::format(
      "export the parquet file, and give that: python3 -c \"import pandas; pandas.read_parquet('{0}')"
      ".to_json('{1}.jsonl', orient='records', lines=True)\"",
      parquet.string(), parquet.stem().string());
}

std::vector<Record> read_file(const fs::path& file) {
  const std::string extension = lower_extension(lower_extension(file) == ".gz" ? file.stem() : file);
  if (extension == ".txt" || extension == ".raw")
    return documents_of(read_maybe_compressed(file), file.filename().string());
  if (extension == ".jsonl" || extension == ".json" || extension == ".ndjson") return read_json_records(file);
  throw Error(Code::kUnsupported, "calibration file is of an unknown kind", {{"file", file.string()}},
              extension == ".parquet"
                  ? how_to_export(file)
                  : "use .txt, .jsonl or .json (also .gz), a folder of pictures, or text:\"a sentence\"");
}

// Files beside the data that hold no records: answers of labelled pictures, and what the datasets library
// notes.
bool is_about_the_data(const std::string& file_name) {
  return file_name == "answers.json" || file_name == "dataset_info.json" ||
         file_name == "dataset_infos.json" || file_name == "state.json";
}

std::vector<Record> read_folder(const fs::path& folder, const RecordOptions& options) {
  std::vector<fs::path> pictures, texts, parquet;
  for (const auto& entry :
       fs::recursive_directory_iterator(folder, fs::directory_options::skip_permission_denied)) {
    const std::string file_name = entry.path().filename().string();
    if (!entry.is_regular_file() || file_name.starts_with(".") || is_about_the_data(file_name)) continue;
    const fs::path name = lower_extension(entry.path()) == ".gz" ? entry.path().stem() : entry.path();
    const std::string extension = lower_extension(name);
    if (is_picture(entry.path()))
      pictures.push_back(entry.path());
    else if (extension == ".jsonl" || extension == ".json" || extension == ".txt")
      texts.push_back(entry.path());
    else if (extension == ".parquet")
      parquet.push_back(entry.path());
  }
  std::vector<Record> records;
  if (!pictures.empty() && texts.empty()) {
    std::sort(pictures.begin(), pictures.end());
    for (const fs::path& picture : pictures) records.push_back(picture_record(picture, options));
    return records;
  }
  FARTHING_REQUIRE(!texts.empty(), Code::kNotFound, "the calibration folder holds nothing to calibrate on",
                   {{"folder", folder.string()}, {"parquet_files", parquet.size()}},
                   parquet.empty() ? "put pictures, .jsonl or .txt files there"
                                   : how_to_export(*std::min_element(parquet.begin(), parquet.end())));
  std::sort(texts.begin(), texts.end());
  for (const fs::path& file : texts) {
    auto more = read_file(file);
    std::move(more.begin(), more.end(), std::back_inserter(records));
  }
  return records;
}

}  // namespace

std::vector<Record> read_records(const std::string& spec, const RecordOptions& options) {
  if (spec == "builtin") return builtin_records(options);
  if (spec.starts_with("text:")) {
    std::vector<Record> records = documents_of(spec.substr(5), "text");
    for (Record& record : records) record.joinable = false;
    return records;
  }
  const fs::path path = spec;
  if (fs::is_directory(path)) return read_folder(path, options);
  if (fs::is_regular_file(path))
    return is_picture(path) ? std::vector{picture_record(path, options)} : read_file(path);
  const fs::path found = find_dataset(spec);
  return fs::is_directory(found) ? read_folder(found, options) : read_file(found);
}

}  // namespace farthing::calibrate
