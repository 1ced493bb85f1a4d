#include "nn/picture_input.h"

#include <algorithm>

namespace farthing::nn {
namespace {

constexpr std::string_view kDisagree = "preprocessor_config.json and config.json disagree";

const Tensor& picture_tensor(const PictureTensors& pictures, const std::string& name) {
  const auto found = pictures.find(name);
  FARTHING_REQUIRE(found != pictures.end(), Code::kInvalidArgument,
                   "a tensor of the image processor is missing", {{"tensor", name}}, std::string(kDisagree));
  return found->second;
}

// Copies the patches of the upper left `grid` of one view [C, H, W] in raster order.
void unfold(const float* pixels, std::int64_t height, std::int64_t width, const VisionSpec& spec,
            const PatchGrid& grid, float* to, ThreadPool& pool) {
  const std::int64_t patch = spec.patch_size, columns = spec.num_channels * patch * patch;
  pool.parallel_for(grid.count(), 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t top = i / grid.columns * patch, left = i % grid.columns * patch;
      float* row = to + i * columns;
      for (std::int64_t c = 0; c < spec.num_channels; ++c)
        for (std::int64_t y = 0; y < patch; ++y, row += patch)
          std::copy_n(pixels + (c * height + top + y) * width + left, patch, row);
    }
  });
}

bool is_blank(const float* view, std::int64_t count) {
  return std::all_of(view, view + count, [](float value) { return value == 0.0f; });
}

// Processors that pad inside a view mark it; towers here take whole views only.
void require_whole(const Tensor& mask, std::int64_t view, std::int64_t size) {
  if (mask.dtype() != DType::kU8 || mask.numel() < (view + 1) * size) return;
  const std::uint8_t* values = mask.data<std::uint8_t>() + view * size;
  FARTHING_REQUIRE(std::all_of(values, values + size, [](std::uint8_t value) { return value != 0; }),
                   Code::kUnsupported, "a picture with padding inside a tile", {{"tile", view}},
                   "let the processor resize to whole tiles");
}

PatchRows unfold_all(const VisionSpec& spec, const std::vector<const float*>& views, std::int64_t height,
                     std::int64_t width, std::vector<PatchGrid> grids, ThreadPool& pool) {
  std::int64_t count = 0;
  for (const PatchGrid& grid : grids) count += grid.count();
  const std::int64_t columns = spec.num_channels * spec.patch_size * spec.patch_size;
  PatchRows result{Tensor::empty(DType::kF32, {count, columns}), std::move(grids)};
  float* to = result.rows.mutable_data<float>();
  for (std::size_t i = 0; i < views.size(); ++i) {
    unfold(views[i], height, width, spec, result.grids[i], to, pool);
    to += result.grids[i].count() * columns;
  }
  return result;
}

PatchRows read_views(const VisionSpec& spec, const PictureTensors& pictures, ThreadPool& pool) {
  const Tensor pixels = to_float32(picture_tensor(pictures, "pixel_values"));
  const std::int64_t edge = spec.image_size, side = edge / spec.patch_size;
  const auto rank = static_cast<std::size_t>(pixels.rank());
  FARTHING_REQUIRE(rank >= 3 && pixels.dim(rank - 3) == spec.num_channels && pixels.dim(rank - 2) == edge &&
                       pixels.dim(rank - 1) == edge,
                   Code::kInvalidArgument, "the pictures have another size than the vision tower takes",
                   {{"pixel_values", to_string(pixels.shape())},
                    {"expected", to_string({-1, spec.num_channels, edge, edge})}},
                   std::string(kDisagree));
  const std::int64_t size = spec.num_channels * edge * edge;
  const auto mask = pictures.find("pixel_attention_mask");
  std::vector<const float*> views;
  for (std::int64_t i = 0; i < pixels.numel() / size; ++i) {
    const float* view = pixels.data<float>() + i * size;
    if (spec.drop_blank_views && is_blank(view, size)) continue;
    if (mask != pictures.end()) require_whole(mask->second, i, edge * edge);
    views.push_back(view);
  }
  return unfold_all(spec, views, edge, edge, std::vector<PatchGrid>(views.size(), {1, side, side}), pool);
}

PatchRows read_any_size(const VisionSpec& spec, const PictureTensors& pictures, ThreadPool& pool) {
  const Tensor pixels = to_float32(picture_tensor(pictures, "pixel_values"));
  FARTHING_REQUIRE(pixels.rank() == 4 && pixels.dim(1) == spec.num_channels, Code::kInvalidArgument,
                   "pixel_values should be [pictures, channels, height, width]",
                   {{"pixel_values", to_string(pixels.shape())}, {"channels", spec.num_channels}},
                   std::string(kDisagree));
  const auto sizes = read_sizes(pictures, "image_sizes", 2);
  FARTHING_REQUIRE(static_cast<std::int64_t>(sizes.size()) == pixels.dim(0), Code::kInvalidArgument,
                   "image_sizes and pixel_values differ in number of pictures",
                   {{"image_sizes", sizes.size()}, {"pixel_values", to_string(pixels.shape())}});
  const std::int64_t height = pixels.dim(2), width = pixels.dim(3);
  std::vector<const float*> views;
  std::vector<PatchGrid> grids;
  for (const std::vector<std::int64_t>& size : sizes) {
    const PatchGrid grid{1, size[0] / spec.patch_size, size[1] / spec.patch_size};
    FARTHING_REQUIRE(size[0] >= 1 && size[0] <= height && size[1] >= 1 && size[1] <= width &&
                         grid.count() > 0 && grid.rows <= spec.image_size / spec.patch_size &&
                         grid.columns <= spec.image_size / spec.patch_size,
                     Code::kInvalidArgument, "a picture has a size that the vision tower does not take",
                     {{"height", size[0]}, {"width", size[1]}, {"image_size", spec.image_size}},
                     std::string(kDisagree));
    views.push_back(pixels.data<float>() +
                    static_cast<std::int64_t>(views.size()) * pixels.numel() / pixels.dim(0));
    grids.push_back(grid);
  }
  return unfold_all(spec, views, height, width, std::move(grids), pool);
}

PatchRows read_patch_rows(const VisionSpec& spec, const PictureTensors& pictures) {
  PatchRows result{to_float32(picture_tensor(pictures, "pixel_values")), {}};
  std::int64_t count = 0;
  constexpr std::int64_t kLargest = 1 << 16;  // patches along an axis: products stay far from overflow
  for (const std::vector<std::int64_t>& size : read_sizes(pictures, "image_grid_thw", 3)) {
    const bool fits =
        std::all_of(size.begin(), size.end(), [](std::int64_t n) { return n >= 1 && n <= kLargest; });
    FARTHING_REQUIRE(fits && size[1] % spec.patch_block == 0 && size[2] % spec.patch_block == 0,
                     Code::kInvalidArgument, "image_grid_thw is not a grid of whole squares of patches",
                     {{"frames", size[0]}, {"rows", size[1]}, {"columns", size[2]}}, std::string(kDisagree));
    result.grids.push_back({size[0], size[1], size[2]});
    count += result.grids.back().count();
  }
  const Shape weight = spec.patch_shape(), expected = {count, num_elements(weight) / weight[0]};
  FARTHING_REQUIRE(result.rows.shape() == expected, Code::kInvalidArgument,
                   "pixel_values has another shape than image_grid_thw and the vision tower say",
                   {{"pixel_values", to_string(result.rows.shape())}, {"expected", to_string(expected)}},
                   std::string(kDisagree));
  return result;
}

}  // namespace

std::vector<std::vector<std::int64_t>> read_sizes(const PictureTensors& pictures, const std::string& name,
                                                  std::int64_t columns) {
  const Tensor& tensor = picture_tensor(pictures, name);
  const bool wide = tensor.dtype() == DType::kI64;
  FARTHING_REQUIRE(tensor.rank() >= 1 && (columns == 1 || tensor.dim(tensor.rank() - 1) == columns) &&
                       (wide || tensor.dtype() == DType::kI32),
                   Code::kInvalidArgument, "a tensor of the image processor has another shape than it should",
                   {{"tensor", name}, {"shape", to_string(tensor.shape())}, {"columns", columns}});
  std::vector<std::vector<std::int64_t>> rows;
  for (std::int64_t i = 0; i < tensor.numel(); ++i) {
    if (i % columns == 0) rows.emplace_back();
    rows.back().push_back(wide ? tensor.data<std::int64_t>()[i] : tensor.data<std::int32_t>()[i]);
  }
  return rows;
}

PatchRows read_patches(const VisionSpec& spec, const PictureTensors& pictures, ThreadPool& pool) {
  switch (spec.input) {
    case PictureInput::kViews:
      return read_views(spec, pictures, pool);
    case PictureInput::kAnySize:
      return read_any_size(spec, pictures, pool);
    case PictureInput::kPatches:
      return read_patch_rows(spec, pictures);
  }
  return {};
}

}  // namespace farthing::nn
