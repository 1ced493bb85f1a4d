#include "checkpoint/state_dict.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_set>

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr std::array<std::string_view, 4> kWrappers = {"state_dict", "model_state_dict", "model", "module"};
constexpr int kMaxWrapping = 4;

bool holds_tensors(const pickle::Dict& dict) {
  return std::any_of(dict.items.begin(), dict.items.end(),
                     [](const auto& item) { return item.second->template get<pickle::TensorView>(); });
}

const pickle::Dict* find_wrapped(const pickle::Dict& dict) {
  for (const std::string_view wrapper : kWrappers) {
    for (const auto& [key, value] : dict.items) {
      const auto* name = key->get<std::string>();
      if (name != nullptr && *name == wrapper && value->get<pickle::Dict>())
        return value->get<pickle::Dict>();
    }
  }
  return nullptr;
}

const pickle::Dict& find_dictionary(const pickle::Value& top, const fs::path& file) {
  const auto* dict = top.get<pickle::Dict>();
  for (int depth = 0; dict != nullptr && !holds_tensors(*dict) && depth < kMaxWrapping; ++depth)
    dict = find_wrapped(*dict);
  FARTHING_REQUIRE(dict != nullptr && holds_tensors(*dict), Code::kUnsupported,
                   "file holds no dictionary of tensors", {{"file", file.string()}},
                   "expected what torch.save(model.state_dict(), file) writes");
  return *dict;
}

bool is_dense(const pickle::TensorView& view) {
  std::int64_t expected = 1;
  for (std::size_t axis = view.shape.size(); axis-- > 0;) {
    if (view.shape[axis] != 1 && view.strides[axis] != expected) return false;
    expected *= view.shape[axis];
  }
  return true;
}

// One past the last element that the view touches, counted from the begin of its storage; nothing on
// overflow.
std::optional<std::uint64_t> end_of(const pickle::TensorView& view) {
  std::uint64_t last = view.offset;
  for (std::size_t axis = 0; axis < view.shape.size(); ++axis) {
    std::uint64_t reach = 0;
    const auto steps = static_cast<std::uint64_t>(view.shape[axis] - 1),
               stride = static_cast<std::uint64_t>(view.strides[axis]);
    if (__builtin_mul_overflow(steps, stride, &reach) || __builtin_add_overflow(last, reach, &last))
      return std::nullopt;
  }
  if (last == UINT64_MAX) return std::nullopt;
  return last + 1;
}

TensorInfo place(const std::string& name, const pickle::TensorView& view, const fs::path& file,
                 std::uint64_t file_bytes, const StoredBytes& stored) {
  const auto require = [&](bool condition, const char* message) {
    FARTHING_REQUIRE(condition, Code::kCorruptData, message,
                     {{"file", file.string()},
                      {"tensor", name},
                      {"shape", to_string(view.shape)},
                      {"strides", to_string(view.strides)},
                      {"offset", view.offset},
                      {"storage_bytes", stored.num_bytes}},
                     "the file is damaged; fetch it again");
  };
  const auto& storage = *view.storage->get<pickle::Storage>();
  const std::uint64_t storage_element =
      storage.dtype ? static_cast<std::uint64_t>(dtype_bits(*storage.dtype)) / 8 : 1;
  const std::uint64_t element = static_cast<std::uint64_t>(dtype_bits(view.dtype)) / 8;
  const std::uint64_t capacity = stored.num_bytes / storage_element;
  require(storage.offset <= capacity && storage.num_elements <= capacity - storage.offset,
          "storage is shorter than the pickle says");

  TensorInfo info{name, view.dtype, view.shape, file, stored.offset + storage.offset * storage_element,
                  0,    {}};
  const bool empty = std::find(view.shape.begin(), view.shape.end(), 0) != view.shape.end();
  // Strides of zero repeat elements; a tensor larger than its file is not a weight.
  std::uint64_t size = element;
  for (const std::int64_t dim : view.shape) {
    const bool overflow =
        __builtin_mul_overflow(size, static_cast<std::uint64_t>(std::max<std::int64_t>(dim, 1)), &size);
    require(!overflow && (empty || size <= file_bytes), "tensor is larger than its file");
  }
  if (empty) return info;
  const std::optional<std::uint64_t> end = end_of(view);
  require(end && *end <= storage.num_elements * storage_element / element, "tensor lies outside its storage");
  info.offset += view.offset * element;
  info.num_bytes = size;
  if (!is_dense(view)) info.strides = view.strides;
  return info;
}

}  // namespace

std::vector<TensorInfo> list_state_dict(const pickle::Value& top, const fs::path& file,
                                        std::uint64_t file_bytes,
                                        const std::function<StoredBytes(const std::string&)>& find_storage) {
  std::vector<TensorInfo> tensors;
  std::unordered_set<std::string_view> names;
  for (const auto& [key, value] : find_dictionary(top, file).items) {
    const auto* view = value->get<pickle::TensorView>();
    if (view == nullptr) continue;
    const auto* name = key->get<std::string>();
    FARTHING_REQUIRE(name != nullptr, Code::kUnsupported, "tensor has no name", {{"file", file.string()}});
    FARTHING_REQUIRE(names.insert(*name).second, Code::kCorruptData, "file names a tensor twice",
                     {{"file", file.string()}, {"tensor", *name}});
    tensors.push_back(
        place(*name, *view, file, file_bytes, find_storage(view->storage->get<pickle::Storage>()->key)));
  }
  return tensors;
}

}  // namespace farthing::checkpoint
