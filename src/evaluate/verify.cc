#include "evaluate/verify.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/nearest_name.h"
#include "formats/weight_format.h"
#include "models/model.h"
#include "models/tokenizer_files.h"

namespace farthing::evaluate {
namespace {

namespace fs = std::filesystem;

// What one consumer accepts. Facts: formats-and-algorithms A1.12, A2, A3, A4 and the consumers' own loaders.
struct Profile {
  std::string_view name;
  std::vector<std::string_view> methods;  // quant_method values it loads ("none": dense)
  std::vector<int> packed_bits;           // widths of packed integer weights; empty: any
  std::vector<std::int64_t> group_sizes;  // -1: a scale per channel; empty: any
  std::int64_t rows_multiple = 1;         // kernels' tiles: out_features ...
  std::int64_t columns_multiple = 1;      // ... and in_features
  bool needs_format_metadata = false;     // __metadata__ {"format": "pt"}
};

const std::array<Profile, 6>& profiles() {
  static const std::array<Profile, 6> kProfiles = {
      Profile{"vllm",
              {"compressed-tensors", "awq", "gptq", "bitsandbytes", "fp8", "none"},
              {4, 8},
              {-1, 32, 64, 128},
              64,
              32,
              true},
      Profile{"transformers",
              {"compressed-tensors", "awq", "gptq", "bitsandbytes", "fp8", "none"},
              {},
              {},
              1,
              1,
              true},
      Profile{"autoawq", {"awq"}, {4}, {-1, 32, 64, 128}, 8, 32, false},
      Profile{"gptqmodel", {"gptq", "awq"}, {2, 3, 4, 8}, {}, 32, 32, false},
      Profile{"bitsandbytes", {"bitsandbytes"}, {}, {}, 1, 1, true},
      Profile{"llama.cpp", {"gguf"}, {}, {}, 1, 1, false},
  };
  return kProfiles;
}

class Verifier {
 public:
  Verifier(const fs::path& directory, const Profile* profile) : directory_(directory), profile_(profile) {}

  std::vector<Problem> run() {
    try {
      const checkpoint::Checkpoint checkpoint = checkpoint::Checkpoint::open(directory_);
      const Json config = checkpoint.config();
      if (config.empty()) add("config.json", "is missing");
      const auto reader = formats::detect(checkpoint, config);
      if (profile_) check_method(*reader, config);
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

  void check_method(const formats::WeightReader& reader, const Json& config) {
    const std::string method(reader.method());
    if (std::find(profile_->methods.begin(), profile_->methods.end(), method) == profile_->methods.end()) {
      add("config.json: quantization_config.quant_method",
          fmt::format("{} loads {}, not {}", profile_->name, fmt::join(profile_->methods, ", "), method));
    }
    if (method != "none" && !config.contains("quantization_config"))
      add("config.json", "quantization_config is missing");
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
      if (profile_) check_limits(module, weight);
    } catch (const Error& error) {
      if (error.code() == Code::kInternal) throw;
      add(module, error.what());
    }
  }

  void check_limits(const std::string& module, const QuantizedMatrix& weight) {
    const auto& bits = profile_->packed_bits;
    const auto& groups = profile_->group_sizes;
    const std::int64_t group = weight.granularity == Granularity::kGroup ? weight.group_size : -1;
    if (weight.type == NumberType::kInt && !bits.empty() &&
        std::find(bits.begin(), bits.end(), weight.bits) == bits.end()) {
      add(module, fmt::format("{} bits; {} takes {}", weight.bits, profile_->name, fmt::join(bits, ", ")));
    }
    if (weight.type == NumberType::kInt && !groups.empty() &&
        std::find(groups.begin(), groups.end(), group) == groups.end()) {
      add(module, fmt::format("group size {}; {} takes {}", group, profile_->name, fmt::join(groups, ", ")));
    }
    if (weight.rows % profile_->rows_multiple != 0)
      add(module, fmt::format("{} rows; {} needs a multiple of {}", weight.rows, profile_->name,
                              profile_->rows_multiple));
    if (weight.columns % profile_->columns_multiple != 0) {
      add(module, fmt::format("{} columns; {} needs a multiple of {}", weight.columns, profile_->name,
                              profile_->columns_multiple));
    }
    if (group > 0 && weight.columns % group != 0)
      add(module, fmt::format("group size {} does not divide {} columns", group, weight.columns));
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
      spec = models::declare(models::Config(checkpoint.config()));
    } catch (const Error& error) {
      if (error.code() == Code::kUnsupported) return;  // an unknown family is no fault of the checkpoint
      throw;
    }
    models::CheckpointSource(std::make_shared<const checkpoint::Checkpoint>(checkpoint), *spec)
        .require_complete();
  }

  const fs::path& directory_;
  const Profile* profile_;
  std::vector<Problem> problems_;
};

}  // namespace

std::span<const std::string_view> consumer_names() {
  static const std::array<std::string_view, 6> kNames = [] {
    std::array<std::string_view, 6> names;
    std::transform(profiles().begin(), profiles().end(), names.begin(),
                   [](const Profile& profile) { return profile.name; });
    return names;
  }();
  return kNames;
}

std::vector<Problem> verify(const fs::path& directory, std::string_view consumer) {
  const Profile* profile = nullptr;
  for (const Profile& candidate : profiles()) {
    if (candidate.name == consumer) profile = &candidate;
  }
  FARTHING_REQUIRE(profile != nullptr || consumer.empty(), Code::kInvalidArgument, "unknown consumer",
                   {{"for", consumer}}, fmt::format("use one of {}", fmt::join(consumer_names(), ", ")));
  FARTHING_REQUIRE(fs::exists(directory), Code::kNotFound, "no such folder",
                   {{"folder", directory.string()}});
  return Verifier(directory, profile).run();
}

}  // namespace farthing::evaluate
