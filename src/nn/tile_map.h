// LLaVA-NeXT's way from the features of tiles to one sequence: the whole view, then the tiles as one map, row
// by row (models-and-tokenizers 1.12).
#pragma once

#include "nn/picture_input.h"
#include "nn/vision_tower.h"

namespace farthing::nn {

/// The part of the joined map of a picture of `height` x `width` that is not padding.
struct TileMap {
  std::int64_t tile_rows, tile_columns;   // of the canvas
  std::int64_t top, bottom, left, right;  // in features of the joined map, [top, bottom) and so on
  std::int64_t rows, columns;             // of that part, possibly shrunk
  std::int64_t views() const { return 1 + tile_rows * tile_columns; }
  /// Features with the newlines, `side` * `side` for the whole view.
  std::int64_t count(std::int64_t side) const { return side * side + rows * (columns + 1); }
};

/// `tile` and `patch` are the edges of the tower's pictures and patches.
TileMap tile_map_of(const TileMapSpec& spec, std::int64_t height, std::int64_t width, std::int64_t tile,
                    std::int64_t patch);

/// pixel_values [views of all pictures, C, S, S] from [pictures, most views, C, S, S], by image_sizes. Throws
/// kInvalidArgument when views are missing.
PictureTensors without_padding_views(const TileMapSpec& spec, const VisionSpec& vision,
                                     PictureTensors pictures);

/// Rows of all pictures, by image_sizes, from projected features of all views. `newline` is F32 [H].
Tensor join_tiles(const TileMapSpec& spec, const VisionSpec& vision, const PictureTensors& pictures,
                  const PictureFeatures& features, const Tensor& newline);

}  // namespace farthing::nn
