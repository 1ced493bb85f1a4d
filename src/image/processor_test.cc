#include "image/processor.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "image/test_data.h"
#include "tensor/float_types.h"

namespace farthing::image {
namespace {

// Float tensors agree to the last rounding, all others exactly.
void expect_same(const std::map<std::string, Tensor>& actual, const std::map<std::string, Tensor>& expected) {
  for (const auto& [name, tensor] : actual) EXPECT_TRUE(expected.contains(name)) << "not expected: " << name;
  for (const auto& [name, tensor] : expected) {
    SCOPED_TRACE(name);
    ASSERT_TRUE(actual.contains(name));
    const Tensor& other = actual.at(name);
    ASSERT_EQ(other.shape(), tensor.shape());
    ASSERT_EQ(other.dtype(), tensor.dtype());
    if (tensor.dtype() == DType::kF32) {
      float largest = 0;
      for (std::int64_t i = 0; i < tensor.numel(); ++i)
        largest = std::max(largest, std::abs(tensor.span<float>()[i] - other.span<float>()[i]));
      EXPECT_LE(largest, 1e-6f);
    } else {
      EXPECT_EQ(std::memcmp(other.bytes().data(), tensor.bytes().data(), tensor.num_bytes()), 0);
    }
  }
}

ProcessedImages process(const ImageProcessor& processor, const std::vector<std::filesystem::path>& files) {
  std::vector<Image> images;
  for (const std::filesystem::path& file : files) images.push_back(open(file, processor.decode_options()));
  return processor.process(images);
}

Code code_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return Code::kInternal;
}

class StoredCase : public testing::TestWithParam<const char*> {};

TEST_P(StoredCase, TensorsAreThoseOfTransformers) {
  const std::filesystem::path folder = test_file("processor") / GetParam();
  const auto processor = ImageProcessor::open(folder);
  const ProcessedImages result = process(*processor, {test_file("processor/picture.png")});
  expect_same(result.tensors, read_tensors(folder / "expected.safetensors"));
  ASSERT_EQ(result.layouts.size(), 1u);
  EXPECT_EQ(result.layouts[0].original_height, 61);
  EXPECT_EQ(result.layouts[0].original_width, 97);
}

INSTANTIATE_TEST_SUITE_P(Processor, StoredCase,
                         testing::Values("clip", "siglip", "llava_next", "pixtral", "qwen2_vl", "idefics3",
                                         "mllama", "gemma3", "got_ocr2"));

class Family : public testing::TestWithParam<const char*> {};

TEST_P(Family, TensorsAreThoseOfTheFixture) {
  const auto shared = shared_folder();
  if (!shared) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  const std::filesystem::path folder = *shared / "fixtures" / "families" / GetParam();
  const auto processor = ImageProcessor::open(folder);
  for (const std::string name : {"image0", "image1"}) {
    SCOPED_TRACE(name);
    auto expected = read_tensors(folder / "expected.safetensors", name + ".");
    expected.erase("pixel_values_fast");
    expect_same(process(*processor, {folder / (name + ".png")}).tensors, expected);
  }
  // Of two pictures the fixture keeps what is not the concatenation of each.
  const ProcessedImages both = process(*processor, {folder / "image0.png", folder / "image1.png"});
  EXPECT_EQ(both.layouts.size(), 2u);
  const auto expected = read_tensors(folder / "expected.safetensors", "two.");
  for (const auto& [name, tensor] : both.tensors)
    if (expected.contains(name)) expect_same({{name, tensor}}, {{name, expected.at(name)}});
}

INSTANTIATE_TEST_SUITE_P(Processor, Family,
                         testing::Values("llava", "llava-mistral", "llava-newnames", "llava_next", "pixtral",
                                         "idefics3", "smolvlm", "qwen2_vl", "qwen2_5_vl", "gemma3",
                                         "mllama"));

TEST(ClipProcessor, PicturesOfTheDemoModel) {
  const auto shared = shared_folder();
  if (!shared) GTEST_SKIP() << "FARTHING_FIXTURES is not set";
  const auto processor = ImageProcessor::open(*shared / "models" / "tiny-llava-21m");
  const std::filesystem::path fixture = *shared / "fixtures" / "tiny-llava-21m";
  const Json info = read_json(fixture / "case.json");
  for (const auto& [name, picture] : info["pictures"].items()) {
    SCOPED_TRACE(name);
    const std::string folder = picture["folder"];
    const std::filesystem::path images = *shared / "data" / "images";
    const auto result = process(*processor, {(folder == "images" ? images : images / folder) / name});
    expect_same(
        result.tensors,
        {{"pixel_values", read_tensors(fixture / "expected.safetensors", name + ".").at("pixel_values")}});
  }
}

TEST(ClipProcessor, DefaultsAndFlags) {
  const Image image = gradient(300, 260);
  const auto plain = ImageProcessor::create({{"image_processor_type", "CLIPFeatureExtractor"}});
  EXPECT_EQ(plain->process({&image, 1}).tensors.at("pixel_values").shape(), (Shape{1, 3, 224, 224}));
  const Json raw = {{"image_processor_type", "CLIPImageProcessorFast"},
                    {"do_resize", false},
                    {"do_center_crop", false},
                    {"do_rescale", false},
                    {"do_normalize", false},
                    {"image_mean", nullptr}};
  const Tensor bytes = ImageProcessor::create(raw)->process({&image, 1}).tensors.at("pixel_values");
  EXPECT_EQ(bytes.shape(), (Shape{1, 3, 260, 300}));
  EXPECT_EQ(bytes.data<float>()[300 * 260 + 301], static_cast<float>(image.row(1)[3 + 1]));
  const Json boxed = {{"image_processor_type", "ViTImageProcessor"},
                      {"size", {{"max_height", 100}, {"max_width", 60}}}};
  EXPECT_EQ(ImageProcessor::create(boxed)->process({&image, 1}).tensors.at("pixel_values").shape(),
            (Shape{1, 3, 52, 60}));
}

TEST(ClipProcessor, SmallPicturesAreSurroundedByBlack) {
  const Json config = {{"image_processor_type", "CLIPImageProcessor"},
                       {"do_resize", false},
                       {"crop_size", 5},
                       {"do_normalize", false},
                       {"do_rescale", false}};
  Image image{2, 2, std::vector<std::uint8_t>(12, 9)};
  const Tensor pixels = ImageProcessor::create(config)->process({&image, 1}).tensors.at("pixel_values");
  std::string plane;
  for (int i = 0; i < 25; ++i) plane += pixels.data<float>()[i] == 9 ? '9' : '.';
  EXPECT_EQ(plane,
            "....."
            "....."
            "..99."
            "..99."
            ".....");
}

TEST(ClipProcessor, DifferentSizesNeedPadding) {
  const std::vector<Image> images = {gradient(8, 4), gradient(4, 6)};
  Json config = {{"image_processor_type", "ViTImageProcessor"}, {"do_resize", false}};
  EXPECT_EQ(code_of([&] { ImageProcessor::create(config)->process(images); }), Code::kInvalidArgument);
  config["do_pad"] = true;
  const Tensor pixels = ImageProcessor::create(config)->process(images).tensors.at("pixel_values");
  EXPECT_EQ(pixels.shape(), (Shape{2, 3, 6, 8}));
  EXPECT_EQ(pixels.data<float>()[3 * 6 * 8 + 7], 0.0f);
}

TEST(PixtralProcessor, MergedPatchesOfMistral3) {
  const Json config = {{"image_processor_type", "PixtralImageProcessor"},
                       {"patch_size", 14},
                       {"size", {{"longest_edge", 1540}}}};
  const Image image = gradient(100, 50);
  const auto processor = ImageProcessor::create(config, {{"patch_size", 14}, {"spatial_merge_size", 2}});
  const ImageLayout layout = processor->process({&image, 1}).layouts[0];
  EXPECT_EQ(layout.height, 56);
  EXPECT_EQ(layout.width, 112);
  EXPECT_EQ(layout.grid_rows, 4);
  EXPECT_EQ(layout.grid_columns, 8);
  EXPECT_EQ(layout.num_feature_tokens, 2 * 4);
}

TEST(Qwen2VlProcessor, DocumentedExample) {
  const Image image = gradient(500, 375);
  const auto processor = ImageProcessor::create(
      {{"image_processor_type", "Qwen2VLImageProcessor"}, {"min_pixels", 3136}, {"max_pixels", 12845056}});
  const ImageLayout layout = processor->process({&image, 1}).layouts[0];
  EXPECT_EQ(layout.grid_columns, 36);
  EXPECT_EQ(layout.grid_rows, 26);
  EXPECT_EQ(layout.num_feature_tokens, 234);
}

TEST(GotOcr2Processor, InternVlAlwaysCuts) {
  const Image image = gradient(40, 20);
  const Json config = {{"image_processor_type", "GotOcr2ImageProcessorFast"},
                       {"size", {{"height", 10}, {"width", 10}}},
                       {"crop_to_patches", false}};
  EXPECT_EQ(ImageProcessor::create(config)->process({&image, 1}).layouts[0].num_tiles, 1);
  const auto internvl = ImageProcessor::create(config, {{"processor_class", "InternVLProcessor"}});
  const ImageLayout layout = internvl->process({&image, 1}).layouts[0];
  EXPECT_EQ(layout.tile_rows, 2);
  EXPECT_EQ(layout.tile_columns, 4);
  EXPECT_EQ(layout.num_tiles, 9);
}

TEST(Llama4Processor, GridsAndRounding) {
  const auto processor = ImageProcessor::create(
      {{"image_processor_type", "Llama4ImageProcessorFast"}, {"size", {{"height", 20}, {"width", 20}}}});
  const Image image = gradient(50, 30);
  const ProcessedImages result = processor->process({&image, 1});
  EXPECT_THAT(result.tensors.at("aspect_ratios").span<std::int64_t>(), testing::ElementsAre(2, 3));
  const Tensor& pixels = result.tensors.at("pixel_values");
  EXPECT_EQ(pixels.shape(), (Shape{7, 3, 20, 20}));
  for (const float value : pixels.span<float>()) ASSERT_EQ(value, round_to_bf16(value));
  const Image small = gradient(15, 9);
  EXPECT_EQ(processor->process({&small, 1}).layouts[0].num_tiles, 1);
}

TEST(Phi3VProcessor, TilesOnWhiteAndTokenCount) {
  const auto processor =
      ImageProcessor::create({{"image_processor_type", "Phi3VImageProcessor"}, {"num_crops", 4}});
  // Three tiles wide and one high: 336 rows of which 252 are the picture.
  const Image image{400, 100, std::vector<std::uint8_t>(400 * 100 * 3, 0)};
  const ProcessedImages result = processor->process({&image, 1});
  const ImageLayout& layout = result.layouts[0];
  EXPECT_EQ(layout.tile_rows, 1);
  EXPECT_EQ(layout.tile_columns, 4);
  EXPECT_EQ(layout.num_feature_tokens, (4 + 1) * 144 + 1 + 2 * 12);
  EXPECT_THAT(result.tensors.at("image_sizes").span<std::int64_t>(), testing::ElementsAre(336, 1344));
  const Tensor& pixels = result.tensors.at("pixel_values");
  ASSERT_EQ(pixels.shape(), (Shape{1, 5, 3, 336, 336}));
  const float black = -0.48145466f / 0.26862954f;
  const float* global = pixels.data<float>();
  const float* last_tile = global + 4 * 3 * 336 * 336;
  for (const float* plane : {global, last_tile}) {
    EXPECT_NEAR(plane[100 * 336 + 100], black, 1e-6);
    EXPECT_NEAR(plane[335 * 336 + 335], black, 1e-6);
  }
}

TEST(ImageProcessor, NoPicturesNoTensors) {
  for (const std::string_view type : known_processor_types()) {
    const ProcessedImages result = ImageProcessor::create({{"image_processor_type", type}})->process({});
    EXPECT_TRUE(result.tensors.empty() && result.layouts.empty()) << type;
  }
}

TEST(ImageProcessor, OddPicturesAreRefusedOrProcessed) {
  const std::vector<Image> pictures = {gradient(1, 1), gradient(20000, 10), gradient(10, 20000),
                                       gradient(1, 3000), gradient(337, 1)};
  for (const std::string_view type : known_processor_types()) {
    const auto processor = ImageProcessor::create({{"image_processor_type", type}});
    for (const Image& picture : pictures) {
      try {
        const ProcessedImages result = processor->process({&picture, 1});
        const Tensor& pixels = result.tensors.at("pixel_values");
        EXPECT_GE(result.layouts[0].num_tiles, 1);
        for (const float value : pixels.span<float>().subspan(0, 100)) EXPECT_TRUE(std::isfinite(value));
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Code::kInvalidArgument)
            << type << ' ' << picture.width << 'x' << picture.height << ": " << error.what();
      }
    }
  }
}

TEST(ImageProcessor, UnknownTypesNameTheKnown) {
  try {
    ImageProcessor::create({{"image_processor_type", "DonutImageProcessor"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kUnsupported);
    EXPECT_THAT(error.what(), testing::AllOf(testing::HasSubstr("DonutImageProcessor"),
                                             testing::HasSubstr("CLIPImageProcessor")));
  }
  EXPECT_EQ(code_of([] { ImageProcessor::create(Json::object()); }), Code::kUnsupported);
  EXPECT_EQ(code_of([] { ImageProcessor::create(Json::array()); }), Code::kUnsupported);
  EXPECT_EQ(code_of([] { ImageProcessor::open(test_file("resize")); }), Code::kNotFound);
}

TEST(ImageProcessor, SettingsOfTransformers5) {
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "image-processor-settings";
  std::filesystem::create_directories(folder);
  write_text_atomically(folder / "preprocessor_config.json", R"({"image_processor_type": "Nonsense"})");
  write_text_atomically(folder / "processor_config.json",
                        R"({"image_processor": {"image_processor_type": "SiglipImageProcessorFast",
                                                "size": {"height": 8, "width": 6}}})");
  const Image image = gradient(20, 20);
  EXPECT_EQ(ImageProcessor::open(folder)->process({&image, 1}).tensors.at("pixel_values").shape(),
            (Shape{1, 3, 8, 6}));
  std::filesystem::remove_all(folder);
}

TEST(ImageProcessor, SenselessSettingsAreErrors) {
  const Image image = gradient(40, 30);
  const std::vector<std::pair<const char*, Json>> settings = {
      {"size", -1},
      {"size", "large"},
      {"size", 1e18},
      {"size", {{"height", 0}, {"width", 4}}},
      {"size", Json::object()},
      {"size", {{"height", 4}}},
      {"size", {{"height", 1 << 20}, {"width", 1 << 20}}},
      {"do_resize", "yes"},
      {"image_mean", {1, 2}},
      {"image_mean", {"a", "b", "c"}},
      {"image_std", {0, 1, 1}},
      {"resample", 6},
      {"resample", "bicubic"},
      {"rescale_factor", "x"}};
  for (const char* type : {"SiglipImageProcessor", "LlavaNextImageProcessor", "MllamaImageProcessor",
                           "GotOcr2ImageProcessor", "Gemma3ImageProcessor"}) {
    for (const auto& [key, value] : settings) {
      const Json config = {{"image_processor_type", type}, {key, value}};
      EXPECT_EQ(code_of([&] {
                  ImageProcessor::create(config)->process({&image, 1});
                }),
                Code::kInvalidArgument)
          << config.dump();
    }
  }
  const std::vector<Json> others = {
      {{"image_processor_type", "LlavaNextImageProcessor"}, {"image_grid_pinpoints", "(1x1)"}},
      {{"image_processor_type", "LlavaNextImageProcessor"}, {"image_grid_pinpoints", {{4, 5, 6}}}},
      {{"image_processor_type", "LlavaNextImageProcessor"},
       {"image_grid_pinpoints", {{10000, 10000}}},
       {"crop_size", 2}},
      {{"image_processor_type", "Qwen2VLImageProcessor"}, {"patch_size", 1000000}},
      {{"image_processor_type", "Qwen2VLImageProcessor"}, {"size", {{"height", 4}, {"width", 4}}}},
      {{"image_processor_type", "Qwen2VLImageProcessor"}, {"do_resize", false}},
      {{"image_processor_type", "Idefics3ImageProcessor"}, {"max_image_size", {{"longest_edge", 1}}}},
      {{"image_processor_type", "MllamaImageProcessor"}, {"do_pad", false}},
      {{"image_processor_type", "MllamaImageProcessor"}, {"max_image_tiles", 1 << 20}},
      {{"image_processor_type", "PixtralImageProcessor"}, {"patch_size", {{"height", 16}}}},
      {{"image_processor_type", "GotOcr2ImageProcessor"}, {"min_patches", 5}, {"max_patches", 4}},
      {{"image_processor_type", "CLIPImageProcessor"}, {"crop_size", {{"shortest_edge", 4}}}}};
  for (const Json& config : others)
    EXPECT_EQ(code_of([&] {
                ImageProcessor::create(config)->process({&image, 1});
              }),
              Code::kInvalidArgument)
        << config.dump();
}

}  // namespace
}  // namespace farthing::image
