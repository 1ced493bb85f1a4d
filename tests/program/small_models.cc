#include "tests/program/small_models.h"

#include <cmath>
#include <fstream>
#include <map>
#include <random>
#include <stdexcept>

#include "tests/program/program.h"

#include "checkpoint/writer.h"
#include "models/family.h"
#include "models/test_weights.h"

namespace farthing::program {
namespace {

namespace fs = std::filesystem;

void write_text(const fs::path& file, const std::string& text) {
  std::ofstream(file, std::ios::binary) << text;
}

// Families whose golden case lies elsewhere or is another family's.
const std::map<std::string, std::string>& own_configs() {
  static const std::string kSkeleton =
      R"("vocab_size":32,"hidden_size":16,"intermediate_size":24,"num_hidden_layers":2,"num_attention_heads":4,)"
      R"("num_key_value_heads":2,"max_position_embeddings":128)";
  static const std::map<std::string, std::string> kConfigs = {
      {"bloom", R"("vocab_size":32,"hidden_size":16,"n_layer":2,"n_head":4)"},
      {"cohere", kSkeleton + R"(,"use_qk_norm":true)"},
      {"falcon",
       R"("vocab_size":32,"hidden_size":16,"num_hidden_layers":2,"num_attention_heads":4,"num_kv_heads":2,)"
       R"("new_decoder_architecture":true)"},
      {"gemma2", kSkeleton + R"(,"head_dim":8,"sliding_window":8)"},
      {"gemma3_text", kSkeleton + R"(,"head_dim":8,"sliding_window":8,"sliding_window_pattern":2)"},
      {"gpt2", R"("vocab_size":32,"n_embd":16,"n_layer":2,"n_head":4,"n_positions":128)"},
      {"gpt_neox", kSkeleton + R"(,"rotary_pct":0.5)"},
      {"granitemoe", kSkeleton + R"(,"num_local_experts":4,"num_experts_per_tok":2)"},
      {"mistral", kSkeleton + R"(,"sliding_window":8)"},
      {"mixtral", kSkeleton + R"(,"num_local_experts":4)"},
      {"opt",
       R"("vocab_size":32,"hidden_size":16,"ffn_dim":24,"num_hidden_layers":2,"num_attention_heads":4,)"
       R"("word_embed_proj_dim":16,"max_position_embeddings":128)"},
      {"phi", kSkeleton},
      {"phi3", kSkeleton},
      {"qwen2", kSkeleton},
      {"qwen2_moe", kSkeleton +
                        R"(,"moe_intermediate_size":8,"shared_expert_intermediate_size":12,"num_experts":4,)"
                        R"("num_experts_per_tok":2)"},
      {"qwen3_moe",
       kSkeleton + R"(,"head_dim":8,"moe_intermediate_size":8,"num_experts":4,"num_experts_per_tok":2)"},
      {"smollm3", kSkeleton},
  };
  return kConfigs;
}

// 1 where norms are stored as they are, 0 where their distance from 1 is.
double centre_of_norms(const nn::ModelSpec& spec) {
  return 1.0 - spec.decoder.final_norm.weight_offset;
}

void write_weights(const fs::path& folder, const nn::ModelSpec& spec) {
  std::vector<std::pair<std::string, Tensor>> tensors;
  models::for_each_tensor(spec, [&](const models::DeclaredTensor& tensor) {
    const bool is_vector = tensor.shape.size() == 1, is_bias = tensor.name.ends_with("bias");
    const bool is_table = tensor.name.find("embed") != std::string::npos;
    std::int64_t inputs = 1;
    for (std::size_t i = 1; i < tensor.shape.size(); ++i) inputs *= tensor.shape[i];
    const double scale = is_vector ? 0.3 : is_table ? 0.7 : 1.8 / std::sqrt(static_cast<double>(inputs));
    const double offset = is_vector && !is_bias ? centre_of_norms(spec) : 0.0;
    tensors.emplace_back(tensor.name, models::formula_tensor(tensor.name, tensor.shape, scale, offset));
  });
  checkpoint::save_safetensors(folder / "model.safetensors", tensors);
}

// Every id has a name: special ones, then letters, then names without a meaning.
void write_tokenizer(const fs::path& folder, const Json& config, const nn::ModelSpec& spec) {
  std::map<std::int64_t, std::string> special = {{0, "<pad>"}, {1, "<s>"}, {2, "</s>"}};
  for (const auto& [key, name] :
       {std::pair("boi_token_index", "<begin>"), std::pair("eoi_token_index", "<end>")})
    if (config.contains(key)) special[config[key]] = name;
  if (spec.image_token_id >= 0) special[spec.image_token_id] = "<image>";
  if (spec.placeholder.layout == nn::PlaceholderSpec::Layout::kTiles) {
    std::int64_t id = 3;
    for (const char* name : {"<fake_token_around_image>", "<global-img>", "<row_1_col_1>", "<row_1_col_2>",
                             "<row_2_col_1>", "<row_2_col_2>"}) {
      while (special.contains(id)) ++id;
      special[id] = name;
    }
  }
  const std::string alphabet = "abcdefghijklmnop \nqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ<>|_/[]";
  Json vocabulary = Json::object(), added = Json::array();
  std::size_t letter = 0;
  for (std::int64_t id = 0; id < spec.decoder.vocab_size; ++id) {
    if (special.contains(id)) continue;
    const std::string name =
        letter < alphabet.size() ? std::string(1, alphabet[letter++]) : fmt::format("<unused{}>", id);
    vocabulary[name] = id;
  }
  for (const auto& [id, name] : special) {
    vocabulary[name] = id;
    added.push_back({{"id", id},
                     {"content", name},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const Json tokenizer = {{"version", "1.0"},
                          {"added_tokens", added},
                          {"normalizer", nullptr},
                          {"pre_tokenizer", nullptr},
                          {"post_processor", nullptr},
                          {"decoder", {{"type", "Fuse"}}},
                          {"model",
                           {{"type", "BPE"},
                            {"unk_token", nullptr},
                            {"fuse_unk", false},
                            {"byte_fallback", false},
                            {"vocab", vocabulary},
                            {"merges", Json::array()}}}};
  write_text(folder / "tokenizer.json", tokenizer.dump());
  write_text(folder / "tokenizer_config.json",
             R"({"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"})");
}

void write_picture_processor(const fs::path& folder, const Json& config, const nn::ModelSpec& spec) {
  static const std::map<std::string, std::string> kTypes = {
      {"gemma3", "Gemma3"},
      {"idefics3", "Idefics3"},
      {"internvl", "GotOcr2"},
      {"llama4", "Llama4"},
      {"llava", "CLIP"},
      {"llava_next", "LlavaNext"},
      {"llava_onevision", "LlavaOnevision"},
      {"mllama", "Mllama"},
      {"paligemma", "Siglip"},
      {"qwen2_5_vl", "Qwen2VL"},
      {"qwen2_vl", "Qwen2VL"},
      {"qwen3_omni_moe", "Qwen2VL"},
      {"qwen3_omni_moe_thinker", "Qwen2VL"},
      {"qwen3_vl", "Qwen2VL"},
      {"qwen3_vl_moe", "Qwen2VL"},
      {"smolvlm", "SmolVLM"},
  };
  const nn::VisionSpec& vision = *spec.vision;
  const std::int64_t edge = vision.image_size, patch = vision.patch_size;
  const Json square = {{"height", edge}, {"width", edge}};
  const bool any_size = config.value("vision_config", Json::object()).value("model_type", "") == "pixtral";
  const std::string type = any_size ? "Pixtral" : kTypes.at(spec.family);
  Json settings = {{"image_processor_type", type + "ImageProcessor"},
                   {"size", square},
                   {"crop_size", square},
                   {"image_mean", {0.5, 0.5, 0.5}},
                   {"image_std", {0.5, 0.5, 0.5}}};
  if (type == "CLIP" || type == "LlavaNext") settings["size"] = {{"shortest_edge", edge}};
  if (type == "Pixtral") {
    settings["size"] = {{"longest_edge", edge}};
    settings["patch_size"] = {{"height", patch}, {"width", patch}};
  }
  if (type == "Idefics3" || type == "SmolVLM") {
    settings["size"] = {{"longest_edge", 2 * edge}};
    settings["max_image_size"] = {{"longest_edge", edge}};
  }
  if (type == "Mllama") settings["max_image_tiles"] = vision.tiling->max_tiles;
  if (type == "GotOcr2") settings["crop_to_patches"] = true;
  if (type == "GotOcr2") settings["max_patches"] = 2;
  if (type == "Llama4") settings["max_patches"] = 4;
  if (config.contains("image_grid_pinpoints"))
    settings["image_grid_pinpoints"] = config["image_grid_pinpoints"];
  if (type == "Qwen2VL") {
    const std::int64_t unit = patch * vision.patch_block;
    settings.update({{"patch_size", patch},
                     {"merge_size", vision.patch_block},
                     {"temporal_patch_size", vision.temporal_patch_size},
                     {"min_pixels", 4 * unit * unit},
                     {"max_pixels", 20 * unit * unit}});
    settings.erase("size");
  }
  write_text(folder / "preprocessor_config.json", settings.dump());
  Json processor = {{"patch_size", patch}};
  if (spec.projector) processor["spatial_merge_size"] = spec.projector->merge_size;
  write_text(folder / "processor_config.json", processor.dump());
}

// A thousand samples per frame: any number of frames is a whole second.
constexpr int kSamplesPerFrame = 1000;

int samples_heard(const nn::ModelSpec& spec) {
  return static_cast<int>(2 * spec.audio->max_positions) * kSamplesPerFrame;
}

void write_sound_processor(const fs::path& folder, const nn::ModelSpec& spec) {
  const Json settings = {{"feature_extractor_type", "WhisperFeatureExtractor"},
                         {"feature_size", spec.audio->num_mel_bins},
                         {"sampling_rate", samples_heard(spec)},
                         {"hop_length", kSamplesPerFrame},
                         {"n_fft", 400},
                         {"chunk_length", 1}};
  write_text(folder / "preprocessor_config.json", settings.dump());
}

template <typename Number>
void put(std::string& bytes, Number value) {
  for (std::size_t i = 0; i < sizeof value; ++i)
    bytes.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
}

}  // namespace

Json small_config(const std::string& family) {
  if (const auto own = own_configs().find(family); own != own_configs().end())
    return parse_json("{\"model_type\":\"" + family + "\"," + own->second + "}", family);
  for (const models::Family& known : models::families())
    if (known.model_type == family) {
      const fs::path file =
          source_path("tests/data/families/" + std::string(known.golden_case()) + "/config.json");
      if (fs::exists(file)) return read_json(file);
    }
  throw std::runtime_error("tests/program/small_models.cc has no configuration of " + family);
}

nn::ModelSpec write_small_model(const fs::path& folder, const Json& config) {
  fs::create_directories(folder);
  write_text(folder / "config.json", config.dump());
  nn::ModelSpec spec = models::declare(models::Config(config));
  write_weights(folder, spec);
  write_tokenizer(folder, config, spec);
  if (spec.vision) write_picture_processor(folder, config, spec);
  if (spec.audio) write_sound_processor(folder, spec);
  return spec;
}

std::string placeholder_of(const nn::ModelSpec& spec) {
  const nn::PlaceholderSpec& declared = spec.placeholder;
  if (spec.image_token_id < 0) return {};
  if (declared.token_id >= 0 && declared.token_id != spec.image_token_id) return "<begin>";
  return declared.text.empty() ? "<image>" : declared.text;
}

std::string letters(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::string text;
  while (text.size() < count) text.push_back(static_cast<char>('a' + random() % 14));
  return text;
}

void write_bmp(const fs::path& file, int width, int height) {
  const int row_bytes = (3 * width + 3) / 4 * 4, size = row_bytes * height;
  std::string bytes = "BM";
  for (const std::uint32_t field : {54 + size, 0, 54, 40, width, height}) put(bytes, field);
  put(bytes, std::uint16_t{1});
  put(bytes, std::uint16_t{24});
  for (const std::uint32_t field : {0, size, 2835, 2835, 0, 0}) put(bytes, field);
  std::mt19937 random(7);
  for (int i = 0; i < size; ++i) bytes.push_back(static_cast<char>(random()));
  write_text(file, bytes);
}

void write_wav(const fs::path& file, const nn::ModelSpec& spec) {
  const auto count = static_cast<std::uint32_t>(samples_heard(spec));
  std::string bytes = "RIFF";
  put(bytes, 36 + 2 * count);
  bytes += "WAVEfmt ";
  put(bytes, std::uint32_t{16});
  put(bytes, std::uint16_t{1});
  put(bytes, std::uint16_t{1});
  put(bytes, count);
  put(bytes, 2 * count);
  put(bytes, std::uint16_t{2});
  put(bytes, std::uint16_t{16});
  bytes += "data";
  put(bytes, 2 * count);
  std::mt19937 random(11);
  for (std::uint32_t i = 0; i < count; ++i) put(bytes, static_cast<std::uint16_t>(random()));
  write_text(file, bytes);
}

}  // namespace farthing::program
