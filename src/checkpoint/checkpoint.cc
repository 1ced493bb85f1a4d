#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "base/directory.h"
#include "base/error.h"
#include "checkpoint/container.h"
#include "checkpoint/gguf/gguf.h"
#include "checkpoint/strided.h"
#include "checkpoint/weight_files.h"

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kPieceBytes = std::uint64_t{4} << 20;
constexpr std::size_t kNearestNames = 3;

std::uint64_t element_bytes(DType dtype) {
  return static_cast<std::uint64_t>(std::max(dtype_bits(dtype) / 8, 1));
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replace, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::string nearest_names(std::string_view name, const std::vector<TensorInfo>& tensors) {
  std::vector<std::pair<std::size_t, std::string_view>> candidates;
  for (const TensorInfo& info : tensors) candidates.emplace_back(edit_distance(name, info.name), info.name);
  const std::size_t count = std::min(kNearestNames, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(count),
                    candidates.end());
  std::string text = count == 0 ? "the checkpoint is empty" : "nearest names:";
  for (std::size_t i = 0; i < count; ++i)
    text += fmt::format("{} {}", i == 0 ? "" : ",", candidates[i].second);
  return text;
}

// The index decides where a tensor lives when several files hold one of its name.
bool lives_in(const std::string& file_name, const TensorInfo& info, const WeightFiles& weights) {
  const auto home = weights.weight_map.find(info.name);
  return home == weights.weight_map.end() || home->second == file_name;
}

void require_unique(const std::vector<TensorInfo>& sorted) {
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end(),
                                        [](const auto& a, const auto& b) { return a.name == b.name; });
  if (twice == sorted.end()) return;
  throw Error(
      Code::kCorruptData, "two files hold a tensor of the same name",
      {{"tensor", twice->name}, {"file", twice->file.string()}, {"other", std::next(twice)->file.string()}},
      "name one of the files instead of the folder, or move the other away");
}

// Both are sorted by name.
void require_indexed(const WeightFiles& weights, const std::vector<TensorInfo>& sorted,
                     const fs::path& directory) {
  auto info = sorted.begin();
  for (const auto& [name, file] : weights.weight_map) {
    while (info != sorted.end() && info->name < name) ++info;
    FARTHING_REQUIRE(
        info != sorted.end() && info->name == name, Code::kCorruptData,
        "file lacks a tensor that the index places there",
        {{"file", (directory / file).string()}, {"tensor", name}, {"index", weights.index.string()}},
        "index and files are of different versions; fetch them again");
  }
}

}  // namespace

Checkpoint Checkpoint::open(const fs::path& path) {
  std::error_code problem;
  const fs::file_status status = fs::status(path, problem);
  FARTHING_REQUIRE(fs::exists(status), Code::kNotFound, "there is no such folder or file",
                   {{"path", path.string()}, {"reason", problem.message()}}, "check the path");
  Checkpoint checkpoint;
  WeightFiles weights;
  if (fs::is_directory(status)) {
    checkpoint.directory_ = path;
    weights = find_weight_files(path);
  } else {
    checkpoint.directory_ = path.has_parent_path() ? path.parent_path() : ".";
    weights = shards_of(path);
  }
  std::vector<TensorInfo> tensors;
  MappedFiles mappings;
  Json config, gguf_values;
  for (const fs::path& file : weights.files) {
    const auto mapping = std::make_shared<const MappedFile>(file);
    Container container = read_container(mapping->bytes(), file, gguf_values);
    if (gguf_values.is_null()) gguf_values = std::move(container.gguf_values);
    const std::string file_name = file.filename().string();
    for (TensorInfo& info : container.tensors) {
      if (lives_in(file_name, info, weights)) tensors.push_back(std::move(info));
    }
    if (mappings.empty()) checkpoint.metadata_ = std::move(container.metadata);
    if (!container.config.is_null()) config = std::move(container.config);
    mappings.emplace(file.native(), mapping);
  }
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  require_unique(tensors);
  require_indexed(weights, tensors, checkpoint.directory_);
  if (!config.is_null()) {
    if (weights.files.size() > 1) gguf::complete_config(tensors, config);
    checkpoint.config_ = std::make_shared<const Json>(std::move(config));
  }
  checkpoint.files_ = std::move(weights.files);
  checkpoint.tensors_ = std::make_shared<const std::vector<TensorInfo>>(std::move(tensors));
  checkpoint.mappings_ = std::make_shared<const MappedFiles>(std::move(mappings));
  return checkpoint;
}

const TensorInfo* Checkpoint::find(std::string_view name) const {
  const auto found =
      std::lower_bound(tensors_->begin(), tensors_->end(), name,
                       [](const TensorInfo& info, std::string_view wanted) { return info.name < wanted; });
  return found == tensors_->end() || found->name != name ? nullptr : &*found;
}

const TensorInfo& Checkpoint::at(std::string_view name) const {
  const TensorInfo* info = find(name);
  FARTHING_REQUIRE(info != nullptr, Code::kNotFound, "checkpoint lacks a tensor",
                   {{"tensor", name}, {"folder", directory_.string()}}, nearest_names(name, *tensors_));
  return *info;
}

Checkpoint Checkpoint::with_derived(const std::set<std::string>& hidden, std::vector<DerivedTensor> derived,
                                    Json config) const {
  FARTHING_CHECK(!derived_, "this view has derived tensors already");
  Checkpoint view = *this;
  std::vector<TensorInfo> tensors;
  std::ranges::copy_if(*tensors_, std::back_inserter(tensors),
                       [&](const TensorInfo& info) { return !hidden.contains(info.name); });
  std::map<std::string, std::function<Tensor()>, std::less<>> makers;
  for (DerivedTensor& tensor : derived) {
    tensor.info.is_derived = true;
    tensor.info.num_bytes = tensor_bytes(tensor.info.dtype, tensor.info.shape);
    makers.emplace(tensor.info.name, std::move(tensor.make));
    tensors.push_back(std::move(tensor.info));
  }
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  require_unique(tensors);
  view.tensors_ = std::make_shared<const std::vector<TensorInfo>>(std::move(tensors));
  view.derived_ = std::make_shared<const decltype(makers)>(std::move(makers));
  view.config_ = std::make_shared<const Json>(std::move(config));
  return view;
}

Tensor Checkpoint::read(std::string_view name) const {
  const TensorInfo& info = at(name);
  if (info.is_derived) {
    Tensor made = derived_->find(name)->second();
    FARTHING_CHECK(made.dtype() == info.dtype && made.shape() == info.shape, "{}", name);
    return made;
  }
  const std::shared_ptr<const MappedFile>& mapping = mapping_of(info);
  const auto stored = mapping->bytes().subspan(info.offset);
  if (info.is_encoded()) {
    Tensor decoded = gguf::read_tensor(stored, info);
    mapping->release(info.offset, info.stored_bytes);
    return decoded;
  }
  if (info.strides.empty() && info.offset % element_bytes(info.dtype) == 0) {
    return Tensor::view(info.dtype, info.shape, stored.first(info.num_bytes), mapping);
  }
  Tensor copy = Tensor::empty(info.dtype, info.shape);
  if (info.strides.empty()) {
    std::memcpy(copy.mutable_bytes().data(), stored.data(), info.num_bytes);
  } else {
    gather(stored, info, 0, copy.mutable_bytes());
  }
  mapping->release(info.offset, extent_bytes(info));
  return copy;
}

void Checkpoint::release(std::string_view name) const {
  const TensorInfo& info = at(name);
  if (!info.is_derived) mapping_of(info)->release(info.offset, extent_bytes(info));
}

void Checkpoint::stream(std::string_view name, const ByteSink& sink) const {
  const TensorInfo& info = at(name);
  if (info.is_encoded() || info.is_derived) {
    const Tensor decoded = read(name);
    for (std::span<const std::byte> rest = decoded.bytes(); !rest.empty();) {
      const std::size_t count = std::min<std::size_t>(rest.size(), kPieceBytes);
      sink(rest.first(count));
      rest = rest.subspan(count);
    }
    return;
  }
  const PositionalFile file(info.file, PositionalFile::Mode::kRead);
  std::vector<std::byte> buffer(std::min(info.num_bytes, kPieceBytes));
  for (std::uint64_t done = 0; done < info.num_bytes; done += buffer.size()) {
    const std::span<std::byte> piece =
        std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), info.num_bytes - done));
    if (info.strides.empty()) {
      file.read_at(info.offset + done, piece);
    } else {
      gather(mapping_of(info)->bytes().subspan(info.offset), info, done / element_bytes(info.dtype), piece);
    }
    sink(piece);
  }
}

std::uint64_t Checkpoint::total_bytes() const {
  std::set<std::pair<std::string_view, std::uint64_t>> seen;
  std::uint64_t total = 0;
  for (const TensorInfo& info : *tensors_) {
    if (info.num_bytes > 0 && (info.is_derived || seen.emplace(info.file.native(), info.offset).second))
      total += info.is_encoded() || info.is_derived ? info.stored_bytes : info.num_bytes;
  }
  return total;
}

Json Checkpoint::config() const {
  if (config_) return *config_;
  const fs::path file = directory_ / "config.json";
  return path_exists(file) ? read_json(file) : Json::object();
}

const std::shared_ptr<const MappedFile>& Checkpoint::mapping_of(const TensorInfo& info) const {
  return mappings_->find(info.file.native())->second;
}

}  // namespace farthing::checkpoint
