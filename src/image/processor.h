// Image processors: what Hugging Face transformers makes of pictures before the vision tower sees them,
// chosen and configured by a checkpoint's preprocessor_config.json. The arithmetic is that of PIL and numpy.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "image/image.h"
#include "tensor/tensor.h"

namespace farthing::image {

/// What became of one picture, as far as the expansion of its placeholder in the prompt needs to know. Counts
/// that have no meaning for a processor are 0.
struct ImageLayout {
  /// Size of the picture as given. LLaVA-NeXT removes the padding of its tiles by this aspect ratio.
  int original_height = 0;
  int original_width = 0;
  /// Size after resizing, before padding; of the whole grid of tiles where the picture is cut into tiles.
  int height = 0;
  int width = 0;
  /// Grid of tiles that the picture was cut into, row by row; 0 x 0 when it was not cut.
  int tile_rows = 0;
  int tile_columns = 0;
  /// Pictures of the tower's input size that stand for this one: tiles, crops and the view of the whole,
  /// without padding.
  int num_tiles = 1;
  /// Frames (1), and grid of the tower's patches, of processors for towers that take any size: Pixtral,
  /// Qwen-VL.
  int grid_frames = 0;
  int grid_rows = 0;
  int grid_columns = 0;
  /// Feature rows that the model makes of the picture, where the processor's own settings decide that:
  /// Pixtral and Qwen-VL after merging patches, Phi-3-vision. Elsewhere the family computes it from the
  /// fields above and its patch size.
  int num_feature_tokens = 0;
};

struct ProcessedImages {
  /// By the names that transformers uses: pixel_values (always kF32), image_sizes, image_grid_thw, ...
  /// (kI64), masks of pixels (kU8). Empty when there were no pictures.
  std::map<std::string, Tensor> tensors;
  /// One per picture.
  std::vector<ImageLayout> layouts;
};

class ImageProcessor {
 public:
  /// Reads the settings in `model_directory`: the object image_processor of processor_config.json
  /// (transformers 5), else preprocessor_config.json. Throws kNotFound without either, and as create() does.
  static std::unique_ptr<ImageProcessor> open(const std::filesystem::path& model_directory);

  /// Makes the processor that `preprocessor_config` names as image_processor_type, with the class's defaults
  /// for missing keys. Pixtral also heeds patch_size and spatial_merge_size of `processor_config`, InternVL
  /// its processor_class. Throws kUnsupported for an unknown type, kInvalidArgument for settings that make
  /// no sense.
  static std::unique_ptr<ImageProcessor> create(const Json& preprocessor_config,
                                                const Json& processor_config = Json::object());

  virtual ~ImageProcessor() = default;

  /// Processes the pictures of one prompt, in order. Throws kInvalidArgument for a picture that the settings
  /// refuse.
  virtual ProcessedImages process(std::span<const Image> images) const = 0;

  /// How pictures for this processor want to be decoded.
  virtual DecodeOptions decode_options() const { return {}; }
};

/// The values of image_processor_type that create() knows, in alphabetical order.
std::vector<std::string_view> known_processor_types();

}  // namespace farthing::image
