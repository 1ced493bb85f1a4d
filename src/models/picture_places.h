// Where the pictures of a prompt stand: the rows that their features replace, the spans that see both ways,
// and the positions of what follows.
#pragma once

#include <span>

#include "nn/vision_tower.h"

namespace farthing::models {

class PicturePlaces {
 public:
  /// `features` of all pictures of all prompts, and those that are added after the first blocks, if any; spec
  /// and features must outlive this.
  PicturePlaces(const nn::ModelSpec& spec, const nn::PictureFeatures& features,
                std::vector<Tensor> stacked = {})
      : spec_(spec), features_(features), stacked_(std::move(stacked)) {}

  /// Lays out the next prompt. Positions of several axes (Qwen-VL): a text token has the same on all of them;
  /// a picture that begins at s has (s + frame, s + row, s + column), and what follows it begins after the
  /// largest of these.
  nn::Sequence sequence(std::span<const std::int32_t> ids);

  /// Throws kInvalidArgument when placeholders and features differ in number.
  void require_all_used() const;

  /// Copies the features to the rows of their placeholders, unless the decoder attends to them by itself.
  void put_into(std::span<const std::int32_t> ids, Tensor& hidden) const;

 private:
  bool is_placeholder(std::int32_t id) const {
    return (spec_.vision || spec_.audio) && id == spec_.image_token_id;
  }
  void lay_out_embedded(std::span<const std::int32_t> ids, nn::Sequence& sequence);
  void attend_to_sound(nn::Sequence& sequence);
  void lay_out_states(std::span<const std::int32_t> ids, nn::Sequence& sequence);

  const nn::ModelSpec& spec_;
  const nn::PictureFeatures& features_;
  std::vector<Tensor> stacked_;
  std::int64_t placeholders_ = 0;  // seen so far
  std::size_t grid_ = 0;           // of the next picture
};

}  // namespace farthing::models
