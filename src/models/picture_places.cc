#include "models/picture_places.h"

#include <algorithm>

namespace farthing::models {
namespace {

// The features of pictures [begin, end): all real ones first, then those of blank tiles.
Tensor states_of(const nn::PictureFeatures& features, std::size_t begin, std::size_t end) {
  const std::int64_t width = features.rows.dim(1);
  std::int64_t before = 0, count = 0;
  for (std::size_t i = 0; i < end; ++i) (i < begin ? before : count) += features.grids[i].count();
  Tensor states = Tensor::empty(DType::kF32, {count, width});
  float* to = states.mutable_data<float>();
  for (const bool real : {true, false}) {
    const float* from = features.rows.data<float>() + before * width;
    for (std::size_t i = begin; i < end; ++i) {
      const nn::PatchGrid& grid = features.grids[i];
      const std::int64_t blank = grid.blank_frames * grid.rows * grid.columns, filled = grid.count() - blank;
      to = real ? std::copy_n(from, filled * width, to)
                : std::copy_n(from + filled * width, blank * width, to);
      from += grid.count() * width;
    }
  }
  return states;
}

}  // namespace

nn::Sequence PicturePlaces::sequence(std::span<const std::int32_t> ids) {
  nn::Sequence result{.length = static_cast<std::int64_t>(ids.size())};
  if (spec_.decoder.reads_sounds()) {
    result = nn::Sequence::of(result.length, spec_.decoder.position_axes());
    attend_to_sound(result);
  } else if (spec_.decoder.reads_pictures()) {
    result = nn::Sequence::of(result.length, spec_.decoder.position_axes());
    lay_out_states(ids, result);
  } else {
    lay_out_embedded(ids, result);
  }
  return result;
}

void PicturePlaces::lay_out_embedded(std::span<const std::int32_t> ids, nn::Sequence& result) {
  const std::int64_t axes = spec_.decoder.position_axes(), length = static_cast<std::int64_t>(ids.size());
  const std::int64_t first_placeholder = placeholders_;
  std::int64_t position = 0;
  for (std::int64_t i = 0; i < length;) {
    if (!is_placeholder(ids[static_cast<std::size_t>(i)])) {
      result.positions.insert(result.positions.end(), static_cast<std::size_t>(axes), position++);
      ++i;
      continue;
    }
    std::int64_t end = i;
    while (end < length && is_placeholder(ids[static_cast<std::size_t>(end)])) ++end;
    result.spans.push_back({i, end, end});
    placeholders_ += end - i;
    while (i < end) {
      if (axes == 1 || grid_ == features_.grids.size()) {
        result.positions.insert(result.positions.end(), static_cast<std::size_t>(axes), position++);
        ++i;
        continue;
      }
      const nn::PatchGrid& grid = features_.grids[grid_++];
      const std::int64_t count = std::min(grid.count(), end - i);
      for (std::int64_t k = 0; k < count; ++k)
        result.positions.insert(result.positions.end(),
                                {position + k / (grid.rows * grid.columns),
                                 position + k / grid.columns % grid.rows, position + k % grid.columns});
      position += std::max({grid.frames, grid.rows, grid.columns});
      i += count;
    }
  }
  result.position_shift = position - length;
  if (spec_.two_way_prompt && !result.spans.empty()) result.spans = {{0, length, length}};
  for (const Tensor& layer : stacked_)
    if (placeholders_ > first_placeholder)
      result.span_features.push_back(
          layer.rows(std::min(first_placeholder, layer.dim(0)), std::min(placeholders_, layer.dim(0))));
}

// Real states of the prompt's pictures, one after the other, then those of the tiles that they lack. A token
// attends to the pictures of the last run of placeholders before it, tokens before the first to all states.
void PicturePlaces::lay_out_states(std::span<const std::int32_t> ids, nn::Sequence& sequence) {
  const std::size_t first_grid = grid_;
  std::vector<std::int64_t> real_end = {0};  // of the states of the pictures so far
  std::int64_t run_begin = 0;                // of the states of the current run of placeholders
  for (std::int64_t i = 0; i < sequence.length; ++i) {
    if (!is_placeholder(ids[static_cast<std::size_t>(i)])) continue;
    ++placeholders_;
    if (grid_ == features_.grids.size()) continue;
    const nn::PatchGrid& grid = features_.grids[grid_++];
    const bool goes_on = i > 0 && is_placeholder(ids[static_cast<std::size_t>(i - 1)]);
    if (!goes_on) run_begin = real_end.back();
    real_end.push_back(real_end.back() + (grid.frames - grid.blank_frames) * grid.rows * grid.columns);
    if (!sequence.picture_spans.empty()) sequence.picture_spans.back().end = i;
    sequence.picture_spans.push_back({i, sequence.length, run_begin, real_end.back()});
  }
  if (sequence.picture_spans.empty()) return;
  sequence.picture_states = states_of(features_, first_grid, grid_);
  const std::int64_t first = sequence.picture_spans.front().begin;
  if (first > 0)
    sequence.picture_spans.insert(sequence.picture_spans.begin(),
                                  {0, first, 0, sequence.picture_states.dim(0), /*belongs=*/false});
}

// Every prompt has one sound, which all of it attends to.
void PicturePlaces::attend_to_sound(nn::Sequence& sequence) {
  FARTHING_REQUIRE(grid_ < features_.grids.size(), Code::kInvalidArgument,
                   "the model writes down what it hears, and there is no sound for it", {},
                   "add --audio FILE.wav");
  sequence.picture_states = states_of(features_, grid_, grid_ + 1);
  sequence.picture_spans = {{0, sequence.length, 0, sequence.picture_states.dim(0)}};
  ++grid_;
  ++placeholders_;
}

void PicturePlaces::require_all_used() const {
  const std::int64_t expected = spec_.decoder.reads_pictures() || spec_.decoder.reads_sounds()
                                    ? static_cast<std::int64_t>(features_.grids.size())
                                    : features_.rows.dim(0);
  FARTHING_REQUIRE(expected == placeholders_, Code::kInvalidArgument,
                   "placeholders and features of pictures or sounds differ in number",
                   {{"placeholders", placeholders_}, {"features", expected}},
                   "give as many as the prompt has placeholders, and do not cut the prompt inside one");
}

void PicturePlaces::put_into(std::span<const std::int32_t> ids, Tensor& hidden) const {
  if (spec_.decoder.reads_pictures() || spec_.decoder.reads_sounds()) return;
  const std::int64_t width = hidden.dim(1);
  const float* feature = features_.rows.data<float>();
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!is_placeholder(ids[i])) continue;
    std::copy_n(feature, width, hidden.mutable_data<float>() + static_cast<std::int64_t>(i) * width);
    feature += width;
  }
}

}  // namespace farthing::models
