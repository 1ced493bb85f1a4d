#include "checkpoint/layout.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/safetensors.h"

namespace farthing::checkpoint {
namespace {

constexpr std::size_t kAlignment = 8;  // of the data, the largest element

std::vector<std::size_t> order_of(const std::vector<TensorPlan>& plan) {
  std::vector<std::size_t> order(plan.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return dtype_bits(plan[a].dtype) > dtype_bits(plan[b].dtype);
  });
  return order;
}

std::string quoted(const std::string& text) {
  return Json(text).dump();
}

}  // namespace

SafetensorsLayout lay_out_safetensors(const std::vector<TensorPlan>& plan,
                                      const std::map<std::string, std::string>& metadata) {
  SafetensorsLayout layout;
  layout.offsets.resize(plan.size());
  // Written as text, since a JSON object of ordered keys takes quadratic time to fill.
  std::vector<std::string> entries;
  if (!metadata.empty()) entries.push_back("\"__metadata__\":" + Json(metadata).dump());
  std::set<std::string_view> names = {"", "__metadata__"};
  std::uint64_t end = 0;
  for (const std::size_t i : order_of(plan)) {
    const TensorPlan& tensor = plan[i];
    FARTHING_REQUIRE(names.insert(tensor.name).second, Code::kInvalidArgument,
                     "tensor name cannot be used, or is used twice", {{"tensor", tensor.name}});
    layout.offsets[i] = end;
    end += tensor_bytes(tensor.dtype, tensor.shape);
    entries.push_back(fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                                  quoted(tensor.name), dtype_name(tensor.dtype), fmt::join(tensor.shape, ","),
                                  layout.offsets[i], end));
  }
  std::string json = fmt::format("{{{}}}", fmt::join(entries, ","));
  json.resize((json.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  FARTHING_REQUIRE(json.size() <= kMaxHeaderBytes, Code::kUnsupported,
                   "too many tensors for one safetensors file", {{"header_bytes", json.size()}},
                   "use smaller shards");
  const std::uint64_t length = json.size();
  layout.header.assign(reinterpret_cast<const char*>(&length), kLengthBytes);
  layout.header += json;
  for (std::uint64_t& offset : layout.offsets) offset += layout.header.size();
  layout.file_bytes = layout.header.size() + end;
  return layout;
}

}  // namespace farthing::checkpoint
