#include "models/placeholder.h"

#include <algorithm>

#include "base/error.h"
#include "base/json.h"
#include "nn/tile_map.h"

namespace farthing::models {
namespace {

std::string token_text(const tokenizer::Tokenizer& tokenizer, std::int64_t id) {
  const auto token = tokenizer.token(static_cast<std::int32_t>(id));
  FARTHING_REQUIRE(token, Code::kCorruptData, "a picture token of config.json is not in the tokenizer",
                   {{"token_id", id}}, "the tokenizer files may belong to another model; fetch them again");
  return *token;
}

// Puts the texts of tokens where the declaration has their ids: "{5}".
std::string with_tokens(const std::string& text, const tokenizer::Tokenizer& tokenizer) {
  std::string result;
  std::size_t from = 0;
  for (std::size_t open = text.find('{'); open != std::string::npos; open = text.find('{', from)) {
    const std::size_t close = text.find('}', open);
    FARTHING_CHECK(close != std::string::npos);
    result += text.substr(from, open - from) +
              token_text(tokenizer, std::stoll(text.substr(open + 1, close - open - 1)));
    from = close + 1;
  }
  return result + text.substr(from);
}

std::int64_t merged(const nn::ModelSpec& spec, std::int64_t features) {
  const std::int64_t size = spec.projector ? spec.projector->merge_size : 1;
  return features / (size * size);
}

}  // namespace

std::int64_t features_of(const nn::ModelSpec& spec, const image::ImageLayout& layout) {
  const nn::VisionSpec& vision = *spec.vision;
  if (spec.tile_map)
    return nn::tile_map_of(*spec.tile_map, layout.original_height, layout.original_width, vision.image_size,
                           vision.patch_size)
        .count(vision.image_size / vision.patch_size);
  if (vision.input == nn::PictureInput::kViews)
    return layout.num_tiles * merged(spec, vision.features_per_view());
  return merged(spec, std::int64_t{layout.grid_frames} * layout.grid_rows * layout.grid_columns);
}

std::int64_t rows_of_picture(const nn::ModelSpec& spec, int height, int width) {
  if (spec.decoder.reads_pictures()) return 1;
  const auto unit = static_cast<int>(spec.vision->patch_size * spec.vision->patch_block);
  const auto patches = [&](int edge) {
    return std::max(edge / unit, 1) * static_cast<int>(spec.vision->patch_block);
  };
  return features_of(spec, {.original_height = height,
                            .original_width = width,
                            .grid_frames = 1,
                            .grid_rows = patches(height),
                            .grid_columns = patches(width)});
}

PictureText::PictureText(std::shared_ptr<const nn::ModelSpec> spec, const tokenizer::Tokenizer& tokenizer,
                         const std::filesystem::path& directory)
    : spec_(std::move(spec)) {
  const std::filesystem::path file = directory / "processor_config.json";
  const Json config = std::filesystem::exists(file) ? read_json(file) : Json::object();
  const auto named = [&](const char* key, const std::string& fallback) {
    const auto found = config.find(key);
    const std::string given = found != config.end() && found->is_string() ? found->get<std::string>() : "";
    return given.empty() ? fallback : given;
  };
  const nn::PlaceholderSpec& declared = spec_->placeholder;
  image_token_ = token_text(tokenizer, spec_->image_token_id);
  placeholder_ = declared.token_id >= 0
                     ? token_text(tokenizer, declared.token_id)
                     : named("image_token", declared.text.empty() ? image_token_ : declared.text);
  before_ = with_tokens(declared.before, tokenizer);
  after_ = with_tokens(declared.after, tokenizer);
  row_break_ = named("image_break_token", declared.row_break);
  row_end_ = named("image_end_token", declared.row_end);
}

std::string PictureText::tokens(std::int64_t count) const {
  std::string text;
  for (std::int64_t i = 0; i < count; ++i) text += image_token_;
  return text;
}

std::string PictureText::framed(std::int64_t count) const {
  return before_ + tokens(count) + after_;
}

std::string PictureText::rows(std::int64_t rows, std::int64_t columns) const {
  std::string text;
  for (std::int64_t row = 0; row < rows; ++row)
    text += tokens(columns) + (row + 1 < rows ? row_break_ : row_end_);
  return text;
}

// `count` features per tile.
std::string PictureText::tiles(const image::ImageLayout& layout, std::int64_t count) const {
  std::string text;
  for (int row = 1; row <= layout.tile_rows; ++row) {
    for (int column = 1; column <= layout.tile_columns; ++column)
      text += before_ + fmt::format("<row_{}_col_{}>", row, column) + tokens(count);
    text += "\n";
  }
  if (layout.tile_rows > 0) text += "\n";
  return text + before_ + "<global-img>" + tokens(count) + after_;
}

// `count` features per tile.
std::string PictureText::separated_tiles(const image::ImageLayout& layout, std::int64_t count) const {
  std::string text = before_;
  for (int row = 0; row < layout.tile_rows && layout.num_tiles > 1; ++row)
    for (int column = 1; column <= layout.tile_columns; ++column)
      text += tokens(count) + (column < layout.tile_columns ? row_break_ : row_end_);
  return text + spec_->placeholder.whole_view + tokens(count) + after_;
}

std::string PictureText::picture(const image::ImageLayout& layout) const {
  using Layout = nn::PlaceholderSpec::Layout;
  const std::int64_t count = features_of(*spec_, layout);
  switch (spec_->placeholder.layout) {
    case Layout::kSingle:
      return image_token_;
    case Layout::kTokens:
      return framed(count);
    case Layout::kRows: {
      const std::int64_t size = spec_->projector->merge_size;
      return rows(layout.grid_rows / size, layout.grid_columns / size);
    }
    case Layout::kTiles:
      return tiles(layout, count / layout.num_tiles);
    case Layout::kSeparatedTiles:
      return separated_tiles(layout, count / layout.num_tiles);
    case Layout::kCrops: {
      std::string one = framed(count / layout.num_tiles);
      if (layout.num_tiles == 1) return one;
      std::string text =
          "Here is the original image " + one + " and here are some crops to help you see better";
      for (int crop = 1; crop < layout.num_tiles; ++crop) text += " " + one;
      return text;
    }
  }
  return {};
}

std::string PictureText::expand(const std::string& text, std::span<const image::ImageLayout> layouts) const {
  std::vector<std::string> pictures;
  for (const image::ImageLayout& layout : layouts) pictures.push_back(picture(layout));
  return replaced(text, pictures);
}

std::string PictureText::expand(const std::string& text, std::span<const std::int64_t> counts) const {
  std::vector<std::string> sounds;
  for (const std::int64_t count : counts) sounds.push_back(framed(count));
  return replaced(text, sounds);
}

std::string PictureText::replaced(const std::string& text, std::span<const std::string> replacements) const {
  std::string result;
  std::size_t from = 0;
  for (const std::string& replacement : replacements) {
    const std::size_t at = text.find(placeholder_, from);
    FARTHING_CHECK(at != std::string::npos);
    result += text.substr(from, at - from) + replacement;
    from = at + placeholder_.size();
  }
  return result + text.substr(from);
}

}  // namespace farthing::models
