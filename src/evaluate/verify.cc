#include "evaluate/verify.h"

#include <algorithm>

#include "base/error.h"
#include "base/nearest_name.h"
#include "checkpoint/gguf/gguf.h"
#include "evaluate/consumer_profile.h"
#include "formats/weight_format.h"
#include "models/model.h"
#include "models/tokenizer_files.h"

namespace farthing::evaluate {
namespace {

namespace fs = std::filesystem;

class Verifier {
 public:
  Verifier(const fs::path& directory, const ConsumerProfile* profile)
      : directory_(directory), profile_(profile) {}

  std::vector<Problem> run() {
    try {
      const checkpoint::Checkpoint checkpoint = checkpoint::Checkpoint::open(directory_);
      const Json config = checkpoint.config();
      if (config.empty()) add("config.json", "is missing");
      const auto reader = formats::detect(checkpoint, config);
      const fs::path& file = checkpoint.files().front();
      const bool is_gguf = file.extension() == ".gguf";
      if (profile_) check_method(is_gguf ? "gguf" : reader->method(), config);
      if (is_gguf) {
        const checkpoint::TensorInfo* embedding = checkpoint.find("model.embed_tokens.weight");
        take(check_gguf_metadata(checkpoint::gguf::read_metadata(file),
                                 embedding != nullptr ? embedding->shape.front() : 0));
      }
      if (profile_ && profile_->needs_format_metadata) check_metadata(checkpoint);
      for (const std::string& module : reader->modules()) check_module(*reader, module);
      check_side_files(config);
      check_declaration(checkpoint);
    } catch (const Error& error) {
      if (error.code() == Code::kInternal || error.code() == Code::kCancelled) throw;
      add(directory_.filename().string(), error.what());
    }
    return std::move(problems_);
  }

 private:
  void add(std::string where, std::string what) { problems_.push_back({std::move(where), std::move(what)}); }

  void take(std::vector<Problem> problems) { std::ranges::move(problems, std::back_inserter(problems_)); }

  void check_method(std::string_view method, const Json& config) {
    if (std::find(profile_->methods.begin(), profile_->methods.end(), method) == profile_->methods.end()) {
      add("config.json: quantization_config.quant_method",
          fmt::format("{} loads {}, not {}", profile_->name, fmt::join(profile_->methods, ", "), method));
    }
    if (method == "none" || method == "gguf") return;
    const auto block = config.find("quantization_config");
    if (block == config.end())
      add("config.json", "quantization_config is missing");
    else
      take(check_config_fields(*profile_, method, *block));
  }

  void check_metadata(const checkpoint::Checkpoint& checkpoint) {
    const auto format = checkpoint.metadata().find("format");
    const bool safetensors = checkpoint.files().front().extension() == ".safetensors";
    if (safetensors && (format == checkpoint.metadata().end() || format->second != "pt")) {
      add(checkpoint.files().front().filename().string(), "__metadata__ lacks \"format\": \"pt\"");
    }
  }

  // Decodes the weight, which checks every tensor's shape, dtype and range, and compares it with the profile.
  void check_module(const formats::WeightReader& reader, const std::string& module) {
    try {
      const QuantizedMatrix weight = reader.read(module);
      if (!all_finite(to_float32(weight.scales))) add(module, "a scale is not finite");
      if (!profile_) return;
      if (std::string why = refusal(*profile_, reader.method(), reader.scheme_of(module)); !why.empty())
        add(module, std::move(why));
      check_tiles(module, weight);
    } catch (const Error& error) {
      if (error.code() == Code::kInternal) throw;
      add(module, error.what());
    }
  }

  void check_tiles(const std::string& module, const QuantizedMatrix& weight) {
    if (weight.rows % profile_->rows_multiple != 0)
      add(module, fmt::format("{} rows; {} needs a multiple of {}", weight.rows, profile_->name,
                              profile_->rows_multiple));
    if (weight.columns % profile_->columns_multiple != 0) {
      add(module, fmt::format("{} columns; {} needs a multiple of {}", weight.columns, profile_->name,
                              profile_->columns_multiple));
    }
    if (weight.granularity == Granularity::kGroup && weight.columns % weight.group_size != 0)
      add(module, fmt::format("group size {} does not divide {} columns", weight.group_size, weight.columns));
  }

  void check_side_files(const Json& config) {
    try {
      models::open_tokenizer(directory_);
    } catch (const Error& error) {
      add("tokenizer", error.what());
    }
    const bool reads_pictures = config.contains("vision_config");
    if (reads_pictures && !fs::exists(directory_ / "preprocessor_config.json") &&
        !fs::exists(directory_ / "processor_config.json")) {
      add("preprocessor_config.json", "is missing, so no runtime can prepare pictures");
    }
  }

  // For a known family: every declared tensor is there, in the declared shape.
  void check_declaration(const checkpoint::Checkpoint& checkpoint) {
    std::optional<nn::ModelSpec> spec;
    try {
      spec = models::declare(checkpoint);
    } catch (const Error& error) {
      if (error.code() == Code::kUnsupported) return;  // an unknown family is no fault of the checkpoint
      throw;
    }
    models::CheckpointSource(std::make_shared<const checkpoint::Checkpoint>(checkpoint), *spec)
        .require_complete();
  }

  const fs::path& directory_;
  const ConsumerProfile* profile_;
  std::vector<Problem> problems_;
};

}  // namespace

std::span<const std::string_view> consumer_names() {
  static const std::vector<std::string_view> kNames = [] {
    std::vector<std::string_view> names;
    for (const ConsumerProfile& profile : consumer_profiles()) names.push_back(profile.name);
    return names;
  }();
  return kNames;
}

std::vector<Problem> verify(const fs::path& directory, std::string_view consumer) {
  const ConsumerProfile* profile = find_consumer(consumer);
  FARTHING_REQUIRE(profile != nullptr || consumer.empty(), Code::kInvalidArgument, "unknown consumer",
                   {{"for", consumer}}, fmt::format("use one of {}", fmt::join(consumer_names(), ", ")));
  FARTHING_REQUIRE(fs::exists(directory), Code::kNotFound, "no such folder",
                   {{"folder", directory.string()}});
  return Verifier(directory, profile).run();
}

}  // namespace farthing::evaluate
