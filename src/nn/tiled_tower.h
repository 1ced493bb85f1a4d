// A tower that sees all tiles of a picture together (Mllama; models-and-tokenizers 2.6).
#pragma once

#include <vector>

#include "nn/block.h"
#include "nn/vision_tower.h"

namespace farthing::nn {

class TiledTower : public VisionTower {
 public:
  TiledTower(const VisionSpec& spec, const WeightSource& source);

  /// Features of every place for a tile of every picture, class token first: the last state, then the feature
  /// layers interleaved channel by channel.
  PictureFeatures forward(const PictureTensors& pictures, ThreadPool& pool) override;
  std::size_t num_bytes() const override;

 private:
  /// A table [aspect ratios, tiles * width] and the tanh of its gate.
  struct GatedTable {
    Tensor rows;
    float gate = 0.0f;
  };
  /// One picture: its aspect ratio, and which places hold a tile.
  struct Picture {
    std::int64_t aspect_ratio = 0, tiles = 0;
  };

  GatedTable load_table(const std::string& name, const std::string& table, std::int64_t width,
                        const WeightSource& source) const;
  std::vector<Picture> read_pictures(const PictureTensors& tensors, std::int64_t views) const;
  Tensor embed(const PatchRows& patches, const std::vector<Picture>& pictures, ThreadPool& pool) const;
  void add_to_tiles(const GatedTable& table, const std::vector<Picture>& pictures, Tensor& hidden) const;
  /// Rows of the passes: per picture first what is real, then the padding, which real rows see too.
  std::vector<std::int64_t> lay_out(const std::vector<Picture>& pictures, Batch& batch) const;

  std::int64_t padded_tokens() const;

  VisionSpec spec_;
  Linear patch_embedding_;
  Tensor class_embedding_;     // F32 [H]
  Tensor position_embedding_;  // F32 [T, H]
  GatedTable before_, tile_positions_, after_;
  Norm pre_norm_, post_norm_;
  std::vector<Block> blocks_, global_blocks_;
};

}  // namespace farthing::nn
