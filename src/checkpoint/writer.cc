#include "checkpoint/writer.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/directory.h"
#include "base/error.h"
#include "base/file.h"
#include "checkpoint/layout.h"

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr const char* kPlanChanged = "run without --resume to start again";

// Tensors go to shards in the order of the plan; a shard is closed before it would exceed the limit.
std::vector<std::vector<TensorPlan>> split(std::vector<TensorPlan> plan, std::uint64_t shard_bytes) {
  std::vector<std::vector<TensorPlan>> shards(1);
  std::uint64_t filled = 0;
  for (TensorPlan& tensor : plan) {
    const std::uint64_t bytes = tensor_bytes(tensor.dtype, tensor.shape);
    if (!shards.back().empty() && filled + bytes > shard_bytes) {
      shards.emplace_back();
      filled = 0;
    }
    filled += bytes;
    shards.back().push_back(std::move(tensor));
  }
  return shards;
}

std::string shard_name(std::size_t index, std::size_t count) {
  return count == 1 ? "model.safetensors"
                    : fmt::format("model-{:05d}-of-{:05d}.safetensors", index + 1, count);
}

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// One file of the folder, at its final size from the begin.
class Shard {
 public:
  Shard(const fs::path& path, const std::vector<TensorPlan>& plan,
        const std::map<std::string, std::string>& metadata)
      : path_(path), layout_(lay_out_safetensors(plan, metadata)), survived_(path_exists(path)) {}

  const fs::path& path() const { return path_; }
  const SafetensorsLayout& layout() const { return layout_; }
  bool survived() const { return survived_; }

  // A shard appears under its name only when header and size are complete, so one that is there can be
  // trusted.
  void create() {
    fs::path temporary = path_;
    temporary += ".tmp";
    PositionalFile file(temporary, PositionalFile::Mode::kCreate);
    file.reserve(layout_.file_bytes);
    file.write_at(0, as_bytes(layout_.header));
    file.sync();
    rename_path(temporary, path_);
    file_.emplace(path_, PositionalFile::Mode::kUpdate);
  }

  void reopen() {
    file_.emplace(path_, PositionalFile::Mode::kUpdate);
    std::string header(layout_.header.size(), '\0');
    const bool same_size = file_->size() == layout_.file_bytes;
    if (same_size) file_->read_at(0, std::as_writable_bytes(std::span(header)));
    FARTHING_REQUIRE(same_size && header == layout_.header, Code::kInvalidArgument,
                     "unfinished output belongs to another plan", {{"file", path_.string()}}, kPlanChanged);
  }

  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
    file_->write_at(offset, bytes);
    dirty_ = true;
  }

  void sync() {
    if (dirty_) file_->sync();
    dirty_ = false;
  }

 private:
  fs::path path_;
  SafetensorsLayout layout_;
  bool survived_;
  bool dirty_ = false;
  std::optional<PositionalFile> file_;
};

}  // namespace

class CheckpointWriter::Impl {
 public:
  Impl(fs::path directory, std::vector<TensorPlan> plan, const WriterOptions& options)
      : directory_(std::move(directory)) {
    const auto shards = split(std::move(plan), options.shard_bytes);
    for (std::size_t s = 0; s < shards.size(); ++s) {
      shards_.emplace_back(directory_ / shard_name(s, shards.size()), shards[s], options.metadata);
      for (std::size_t i = 0; i < shards[s].size(); ++i) {
        const bool is_new =
            slots_
                .try_emplace(shards[s][i].name, Slot{s, shards_[s].layout().offsets[i], shards[s][i], false})
                .second;
        FARTHING_REQUIRE(is_new, Code::kInvalidArgument, "tensor name is used twice",
                         {{"tensor", shards[s][i].name}});
      }
    }
    create_folders(directory_);
    check_folder(options.resume);
    check_free_space();
    for (Shard& shard : shards_) shard.survived() ? shard.reopen() : shard.create();
    sync_directory(directory_);
  }

  void write(std::string_view name, const Tensor& tensor) {
    const TensorPlan& plan = slot(name).plan;
    FARTHING_CHECK(tensor.dtype() == plan.dtype && tensor.shape() == plan.shape, "{} is {} {}, planned {} {}",
                   name, dtype_name(tensor.dtype()), to_string(tensor.shape()), dtype_name(plan.dtype),
                   to_string(plan.shape));
    write_stream(name, [&](const ByteSink& sink) { sink(tensor.bytes()); });
  }

  void write_stream(std::string_view name, const std::function<void(const ByteSink&)>& fill) {
    Slot& place = slot(name);
    Shard& shard = shards_[place.shard];
    const std::uint64_t size = tensor_bytes(place.plan.dtype, place.plan.shape);
    std::uint64_t done = 0;
    place.written = false;
    fill([&](std::span<const std::byte> piece) {
      FARTHING_CHECK(piece.size() <= size - done, "{}: more than the planned {} bytes", name, size);
      shard.write_at(place.offset + done, piece);
      done += piece.size();
    });
    FARTHING_CHECK(done == size, "{}: {} of the planned {} bytes", name, done, size);
    place.written = true;
  }

  void mark_written(std::string_view name) {
    Slot& place = slot(name);
    FARTHING_REQUIRE(shards_[place.shard].survived(), Code::kCorruptData,
                     "a shard of the unfinished output is gone",
                     {{"file", shards_[place.shard].path().string()}, {"tensor", name}}, kPlanChanged);
    place.written = true;
  }

  bool is_written(std::string_view name) { return slot(name).written; }

  void sync() {
    for (Shard& shard : shards_) shard.sync();
  }

  void finish() {
    for (const auto& [name, place] : slots_)
      FARTHING_CHECK(place.written, "{} was planned and not written", name);
    sync();
    if (shards_.size() > 1) write_index();
    sync_directory(directory_);
  }

  std::vector<std::string> file_names() const {
    std::vector<std::string> names;
    for (const Shard& shard : shards_) names.push_back(shard.path().filename().string());
    if (shards_.size() > 1) names.push_back(kIndexName);
    return names;
  }

  std::uint64_t total_bytes() const {
    std::uint64_t total = 0;
    for (const Shard& shard : shards_) total += shard.layout().file_bytes;
    return total;
  }

 private:
  struct Slot {
    std::size_t shard = 0;
    std::uint64_t offset = 0;
    TensorPlan plan;
    bool written = false;
  };

  Slot& slot(std::string_view name) {
    const auto found = slots_.find(name);
    FARTHING_CHECK(found != slots_.end(), "{} was not planned", name);
    return found->second;
  }

  // Weights that this plan does not know would be picked up by whoever reads the folder.
  void check_folder(bool resume) const {
    std::set<std::string> expected;
    if (resume) {
      const std::vector<std::string> names = file_names();
      expected.insert(names.begin(), names.end());
    }
    for (const std::string& name : list_files(directory_)) {
      const bool is_weights = name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json");
      if (!is_weights || expected.contains(name)) continue;
      throw Error(Code::kInvalidArgument,
                  resume ? "unfinished output belongs to another plan" : "folder holds weights already",
                  {{"file", (directory_ / name).string()}}, resume ? kPlanChanged : "use an empty folder");
    }
  }

  void check_free_space() const {
    std::uint64_t needed = 0;
    for (const Shard& shard : shards_) needed += shard.survived() ? 0 : shard.layout().file_bytes;
    const auto free = free_disk_bytes(directory_);
    FARTHING_REQUIRE(!free || needed <= *free, Code::kResources, "disk is too full for the output",
                     {{"folder", directory_.string()}, {"needed_bytes", needed}, {"free_bytes", *free}},
                     "free some space or choose a folder on another disk");
  }

  // As transformers writes it: keys sorted, two spaces.
  void write_index() const {
    SortedJson weight_map = SortedJson::object();
    std::uint64_t total = 0;
    for (const auto& [name, place] : slots_) {
      weight_map[name] = shards_[place.shard].path().filename().string();
      total += tensor_bytes(place.plan.dtype, place.plan.shape);
    }
    const SortedJson index = {{"metadata", {{"total_size", total}}}, {"weight_map", std::move(weight_map)}};
    write_text_atomically(directory_ / kIndexName, index.dump(2) + "\n");
  }

  fs::path directory_;
  std::vector<Shard> shards_;
  std::map<std::string, Slot, std::less<>> slots_;
};

CheckpointWriter::CheckpointWriter(fs::path directory, std::vector<TensorPlan> plan, WriterOptions options)
    : impl_(std::make_unique<Impl>(std::move(directory), std::move(plan), options)) {}
CheckpointWriter::~CheckpointWriter() = default;
CheckpointWriter::CheckpointWriter(CheckpointWriter&&) noexcept = default;
CheckpointWriter& CheckpointWriter::operator=(CheckpointWriter&&) noexcept = default;

void CheckpointWriter::write(std::string_view name, const Tensor& tensor) {
  impl_->write(name, tensor);
}
void CheckpointWriter::write_stream(std::string_view name, const std::function<void(const ByteSink&)>& fill) {
  impl_->write_stream(name, fill);
}
void CheckpointWriter::mark_written(std::string_view name) {
  impl_->mark_written(name);
}
bool CheckpointWriter::is_written(std::string_view name) const {
  return impl_->is_written(name);
}
void CheckpointWriter::sync() {
  impl_->sync();
}
void CheckpointWriter::finish() {
  impl_->finish();
}
std::vector<std::string> CheckpointWriter::file_names() const {
  return impl_->file_names();
}
std::uint64_t CheckpointWriter::total_bytes() const {
  return impl_->total_bytes();
}

void save_safetensors(const fs::path& file, const std::vector<std::pair<std::string, Tensor>>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<TensorPlan> plan;
  for (const auto& [name, tensor] : tensors) plan.push_back({name, tensor.dtype(), tensor.shape()});
  const SafetensorsLayout layout = lay_out_safetensors(plan, metadata);
  fs::path temporary = file;
  temporary += ".tmp";
  try {
    PositionalFile output(temporary, PositionalFile::Mode::kCreate);
    output.reserve(layout.file_bytes);
    output.write_at(0, as_bytes(layout.header));
    for (std::size_t i = 0; i < tensors.size(); ++i)
      output.write_at(layout.offsets[i], tensors[i].second.bytes());
    output.sync();
    rename_path(temporary, file);
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
  sync_directory(file.parent_path());
}

Checkpoint load_safetensors(const fs::path& file) {
  return Checkpoint::open(file);
}

}  // namespace farthing::checkpoint
