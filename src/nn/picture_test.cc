// Patches of pictures: reading, order, windows, merging and the joining of tiles, on cases small enough to
// check by eye.
#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nn/patch_order.h"
#include "nn/projector.h"
#include "nn/rope.h"
#include "nn/tile_map.h"

namespace farthing::nn {
namespace {

using testing::ElementsAre;

Tensor numbers(Shape shape) {
  Tensor tensor = Tensor::empty(DType::kF32, std::move(shape));
  for (std::int64_t i = 0; i < tensor.numel(); ++i) tensor.mutable_data<float>()[i] = static_cast<float>(i);
  return tensor;
}

Tensor integers(Shape shape, std::vector<std::int64_t> values) {
  Tensor tensor = Tensor::empty(DType::kI64, std::move(shape));
  std::copy(values.begin(), values.end(), tensor.mutable_data<std::int64_t>());
  return tensor;
}

std::vector<float> values_of(const Tensor& tensor) {
  return {tensor.data<float>(), tensor.data<float>() + tensor.numel()};
}

class Pictures : public testing::Test {
 protected:
  ThreadPool pool_{2};
};

TEST_F(Pictures, SquaresOfPatchesBecomeOneRow) {
  const PictureFeatures grid{numbers({4, 2}), {{1, 2, 2}}};  // rows 01 23 / 45 67
  EXPECT_THAT(values_of(merge_patches(PatchMerge::kAverage, 2, grid, pool_).rows), ElementsAre(3, 4));
  EXPECT_THAT(values_of(merge_patches(PatchMerge::kSpaceToDepth, 2, grid, pool_).rows),
              ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(values_of(merge_patches(PatchMerge::kChannelMajor, 2, grid, pool_).rows),
              ElementsAre(0, 2, 4, 6, 1, 3, 5, 7));
}

TEST_F(Pictures, NeighboursInTheGridAreMergedUnlessSquaresComeTogether) {
  const PictureFeatures grid{numbers({8, 1}), {{1, 2, 4}}};
  EXPECT_THAT(values_of(merge_patches(PatchMerge::kSpaceToDepth, 2, grid, pool_).rows),
              ElementsAre(0, 1, 4, 5, 2, 3, 6, 7));
  const PictureFeatures merged = merge_patches(PatchMerge::kConsecutive, 2, grid, pool_);
  EXPECT_THAT(values_of(merged.rows), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_EQ(merged.grids.front().rows, 1);
  EXPECT_EQ(merged.grids.front().columns, 2);
  EXPECT_THROW(merge_patches(PatchMerge::kAverage, 3, grid, pool_), Error);
}

TEST_F(Pictures, WindowsComeOneAfterTheOther) {
  VisionSpec spec;
  spec.window = 2;
  const TowerRows rows = tower_rows(spec, {{1, 2, 3}});  // 0 1 2 / 3 4 5
  EXPECT_THAT(rows.order, ElementsAre(0, 1, 3, 4, 2, 5));
  EXPECT_THAT(rows.windows.lengths, ElementsAre(4, 2));
  EXPECT_THAT(rows.views.lengths, ElementsAre(6));
  EXPECT_THAT(rows.views.positions, ElementsAre(0, 0, 0, 1, 1, 0, 1, 1, 0, 2, 1, 2));  // row, column
}

TEST_F(Pictures, ASquareOfPatchesStaysTogetherInItsWindow) {
  VisionSpec spec;
  spec.patch_block = 2;
  spec.window = 1;
  const TowerRows rows = tower_rows(spec, {{2, 2, 4}});  // two frames of two squares
  EXPECT_THAT(rows.views.lengths, ElementsAre(8, 8));
  EXPECT_THAT(rows.windows.lengths, ElementsAre(4, 4, 4, 4));
  EXPECT_THAT(std::vector(rows.views.positions.begin(), rows.views.positions.begin() + 10),
              ElementsAre(0, 0, 0, 1, 1, 0, 1, 1, 0, 2));
}

TEST_F(Pictures, TheClassTokenLeadsEveryView) {
  VisionSpec spec;
  spec.class_embedding = "class_embedding";
  const TowerRows rows = tower_rows(spec, {{1, 1, 2}, {1, 1, 2}});
  EXPECT_THAT(rows.order, ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(rows.views.lengths, ElementsAre(3, 3));
}

TEST_F(Pictures, PaddingIsCutOffTheJoinedTiles) {
  const TileMapSpec spec{"newline", {{4, 8}, {8, 4}}};
  const TileMap wide = tile_map_of(spec, 20, 80, 4, 1);  // fills 2 of 4 rows of the 4 x 8 canvas
  EXPECT_EQ(wide.tile_rows, 1);
  EXPECT_EQ(wide.tile_columns, 2);
  EXPECT_EQ(wide.top, 1);
  EXPECT_EQ(wide.bottom, 3);
  EXPECT_EQ(wide.right - wide.left, 8);
  EXPECT_EQ(wide.views(), 3);
  EXPECT_EQ(wide.count(4), 16 + 2 * 9);
  EXPECT_THROW(tile_map_of(spec, 0, 5, 4, 1), Error);
}

TEST_F(Pictures, TilesAreJoinedRowByRow) {
  VisionSpec vision;
  vision.image_size = 2;
  vision.patch_size = 1;
  const TileMapSpec spec{"newline", {{2, 4}}};
  const PictureTensors pictures = {{"image_sizes", integers({1, 2}, {2, 4})}};
  const PictureFeatures features{numbers({12, 1}), std::vector<PatchGrid>(3, {1, 2, 2})};
  Tensor newline = numbers({1});
  newline.mutable_data<float>()[0] = -1;
  EXPECT_THAT(values_of(join_tiles(spec, vision, pictures, features, newline)),
              ElementsAre(0, 1, 2, 3, 4, 5, 8, 9, -1, 6, 7, 10, 11, -1));
}

TEST_F(Pictures, TensorsThatDoNotFitAreRefused) {
  VisionSpec spec{.hidden_size = 4, .num_channels = 1, .image_size = 4, .patch_size = 2};
  EXPECT_THROW(read_patches(spec, {}, pool_), Error);
  EXPECT_THROW(read_patches(spec, {{"pixel_values", numbers({1, 1, 4, 6})}}, pool_), Error);
  EXPECT_EQ(read_patches(spec, {{"pixel_values", numbers({3, 1, 4, 4})}}, pool_).grids.size(), 3u);

  spec.input = PictureInput::kAnySize;
  const auto sized = [&](std::int64_t height, std::int64_t width) {
    return PictureTensors{{"pixel_values", numbers({1, 1, 4, 4})},
                          {"image_sizes", integers({1, 2}, {height, width})}};
  };
  EXPECT_EQ(read_patches(spec, sized(2, 4), pool_).rows.dim(0), 2);
  for (const std::int64_t height : {-1, 0, 1, 5})
    EXPECT_THROW(read_patches(spec, sized(height, 4), pool_), Error);

  spec.input = PictureInput::kPatches;
  spec.patch_block = 2;
  const auto gridded = [&](std::vector<std::int64_t> grid) {
    return PictureTensors{{"pixel_values", numbers({8, 4})},
                          {"image_grid_thw", integers({1, 3}, std::move(grid))}};
  };
  EXPECT_EQ(read_patches(spec, gridded({1, 2, 4}), pool_).grids.front().columns, 4);
  EXPECT_THROW(read_patches(spec, gridded({1, 2, 2}), pool_), Error);
  EXPECT_THROW(read_patches(spec, gridded({1, 1, 8}), pool_), Error);
  EXPECT_THROW(read_patches(spec, gridded({1 << 30, 1 << 30, 1 << 30}), pool_), Error);
}

TEST_F(Pictures, AxesTakeTheirShareOfTheFrequencies) {
  RopeSpec spec{.theta = 100.0, .axis_sections = {2, 2}};
  const auto frequency = [](double step) { return static_cast<float>(std::pow(100.0, -step / 4.0)); };
  EXPECT_THAT(inverse_frequencies(spec, 8, 1),
              ElementsAre(frequency(0), frequency(1), frequency(2), frequency(3)));
  spec.axis_frequencies = AxisFrequencies::kRestarted;
  EXPECT_THAT(inverse_frequencies(spec, 8, 1),
              ElementsAre(frequency(0), frequency(2), frequency(0), frequency(2)));
  spec.axis_frequencies = AxisFrequencies::kAlternating;
  EXPECT_THAT(inverse_frequencies(spec, 8, 1),
              ElementsAre(frequency(0), frequency(2), frequency(1), frequency(3)));
}

TEST_F(Pictures, InterleavedAxesTakeTurns) {
  const RopeSpec spec{.theta = 1.0, .axis_sections = {2, 1, 1}, .interleaved_axes = true};
  Batch batch;
  batch.lengths = {1};
  batch.axes = 3;
  batch.positions = {1, 2, 3};
  RotaryTables tables;
  const RotaryTables::Table& table = tables.get(spec, 8, batch, pool_);  // every frequency is 1
  EXPECT_THAT(table.sine, ElementsAre(std::sin(1.0f), std::sin(2.0f), std::sin(3.0f), std::sin(1.0f)));
}

}  // namespace
}  // namespace farthing::nn
