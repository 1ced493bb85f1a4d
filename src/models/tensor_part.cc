#include "models/tensor_part.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "nn/names.h"

namespace farthing::models {
namespace {

using nn::join;

class PartLister {
 public:
  PartLister(const nn::MoeSpec& moe, std::string path, const std::function<bool(const std::string&)>& has,
             TensorParts& parts)
      : moe_(moe), path_(std::move(path)), has_(has), parts_(parts) {}

  void list() {
    const nn::MlpSpec& expert = moe_.expert;
    const std::int64_t width = expert.down.in_features;
    if (expert.gate) {
      const std::int64_t step = moe_.fused.interleaved ? 2 : 1;
      add(*expert.gate, moe_.fused.gate_up, 2 * width, {.first = 0, .step = step});
      add(expert.up, moe_.fused.gate_up, 2 * width, {.first = step == 2 ? 1 : width, .step = step});
    } else {
      add(expert.up, moe_.fused.gate_up, expert.up.out_features, {});
    }
    add(expert.down, moe_.fused.down, expert.down.out_features, {});
  }

 private:
  void add(const nn::LinearSpec& linear, const std::string& name, std::int64_t outputs, TensorPart part) {
    part.count = linear.out_features;
    part.whole = join(path_, name);
    part.prefix = path_.size();
    part.transposed = moe_.fused.transposed;
    part.whole_shape = {moe_.num_experts, outputs, linear.in_features};
    if (part.transposed) std::swap(part.whole_shape[1], part.whole_shape[2]);
    add_experts(linear.name + ".weight", part);
    if (!linear.bias) return;
    part.whole += "_bias";
    part.transposed = false;
    part.whole_shape = {moe_.num_experts, outputs};
    add_experts(linear.name + ".bias", part);
  }

  void add_experts(const std::string& name, TensorPart part) {
    if (!has_(part.whole)) return;
    const std::string experts = join(path_, moe_.experts_name);
    for (part.expert = 0; part.expert < moe_.num_experts; ++part.expert)
      parts_.emplace(join(join(experts, part.expert), name), part);
  }

  const nn::MoeSpec& moe_;
  std::string path_;
  const std::function<bool(const std::string&)>& has_;
  TensorParts& parts_;
};

}  // namespace

TensorParts fused_parts_of(const nn::ModelSpec& spec,
                           const std::function<bool(const std::string& whole)>& has) {
  TensorParts parts;
  const std::string layers = join(spec.decoder.path, spec.decoder.layers);
  for (std::size_t i = 0; i < spec.decoder.blocks.size(); ++i) {
    const std::optional<nn::MoeSpec>& moe = spec.decoder.blocks[i].moe;
    if (!moe) continue;
    const std::string path = join(join(layers, static_cast<std::int64_t>(i)), moe->name);
    PartLister(*moe, path, has, parts).list();
  }
  return parts;
}

namespace {

// Rows of `outputs` elements become columns, in tiles that stay in the cache.
template <typename Element>
void copy_transposed(const std::byte* from, const TensorPart& part, std::byte* to) {
  constexpr std::int64_t kTile = 32;
  const std::int64_t outputs = part.outputs(), inputs = part.inputs();
  const auto* source = reinterpret_cast<const Element*>(from) + part.first;
  auto* target = reinterpret_cast<Element*>(to);
  for (std::int64_t row = 0; row < part.count; row += kTile)
    for (std::int64_t column = 0; column < inputs; column += kTile)
      for (std::int64_t r = row; r < std::min(row + kTile, part.count); ++r)
        for (std::int64_t c = column; c < std::min(column + kTile, inputs); ++c)
          target[r * inputs + c] = source[c * outputs + r * part.step];
}

void copy_transposed(std::size_t size, const std::byte* from, const TensorPart& part, std::byte* to) {
  switch (size) {
    case 1:
      return copy_transposed<std::uint8_t>(from, part, to);
    case 2:
      return copy_transposed<std::uint16_t>(from, part, to);
    case 4:
      return copy_transposed<std::uint32_t>(from, part, to);
    default:
      FARTHING_CHECK(size == 8, "elements of {} bytes", size);
      return copy_transposed<std::uint64_t>(from, part, to);
  }
}

}  // namespace

Tensor take_part(const Tensor& whole, const TensorPart& part) {
  FARTHING_REQUIRE(whole.shape() == part.whole_shape, Code::kCorruptData,
                   "a tensor has another shape than config.json says",
                   {{"tensor", part.whole},
                    {"shape", to_string(whole.shape())},
                    {"expected", to_string(part.whole_shape)}},
                   "config.json may belong to another model");
  const std::int64_t outputs = part.outputs(), inputs = part.inputs();
  const std::size_t size = whole.num_bytes() / static_cast<std::size_t>(whole.numel());
  Tensor result =
      Tensor::empty(whole.dtype(), whole.rank() == 2 ? Shape{part.count} : Shape{part.count, inputs});
  const std::byte* from =
      whole.bytes().data() + static_cast<std::size_t>(part.expert * outputs * inputs) * size;
  std::byte* to = result.mutable_bytes().data();
  if (part.transposed) {
    copy_transposed(size, from, part, to);
    return result;
  }
  const std::size_t row_bytes = static_cast<std::size_t>(inputs) * size;
  for (std::int64_t r = 0; r < part.count; ++r)
    std::memcpy(to + static_cast<std::size_t>(r) * row_bytes,
                from + static_cast<std::size_t>(part.first + r * part.step) * row_bytes, row_bytes);
  return result;
}

Tensor put_together(const Tensor& rows, const TensorPart& part) {
  if (!part.transposed) return rows.reshape(part.whole_shape);
  Tensor whole = Tensor::empty(rows.dtype(), part.whole_shape);
  const std::int64_t outputs = part.outputs();
  std::byte* to = whole.mutable_bytes().data();
  for (std::int64_t e = 0; e < part.whole_shape[0]; ++e) {
    const Tensor turned = transpose(rows.rows(e * outputs, (e + 1) * outputs));
    to = std::copy(turned.bytes().begin(), turned.bytes().end(), to);
  }
  return whole;
}

std::string part_name(const TensorPart& part, std::string_view canonical, std::string_view whole_in_file) {
  const std::size_t ending = part.whole.size() - part.prefix;  // the same in both spellings
  return std::string(whole_in_file.substr(0, whole_in_file.size() - ending)) +
         std::string(canonical.substr(part.prefix));
}

}  // namespace farthing::models
