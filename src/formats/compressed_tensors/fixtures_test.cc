// Checkpoints that llm-compressor wrote: what they decode to, and that rounding the base model gives the same
// tensors. The shipped ones hold one module each; all of them are checked when FARTHING_FIXTURES is set.
#include <cstdlib>
#include <filesystem>
#include <set>

#include <gtest/gtest.h>

#include "base/file.h"
#include "formats/compressed_tensors/config.h"
#include "formats/weight_format.h"
#include "scheme/observer.h"
#include "scheme/quantizer.h"

namespace farthing::formats {
namespace {

namespace fs = std::filesystem;
using checkpoint::Checkpoint;

struct Case {
  fs::path folder;
  fs::path base;
  bool is_data_free;
};

// Modules of a decoder layer that share the global scale of NVFP4.
const std::vector<std::vector<std::string>> kFused = {{"q_proj", "k_proj", "v_proj"},
                                                      {"gate_proj", "up_proj"}};

bool contains(const fs::path& path, std::initializer_list<std::string_view> words) {
  const std::string name = path.filename().string();
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return name.find(word) != std::string::npos; });
}

std::vector<Case> cases() {
  std::vector<fs::path> roots = {fs::path(FARTHING_SOURCE_DIR) / "tests/data/quantized"};
  if (const char* all = std::getenv("FARTHING_FIXTURES"))
    roots.push_back(fs::path(all) / "fixtures/quantized");
  std::vector<Case> found;
  for (const fs::path& root : roots) {
    for (const auto& entry : fs::directory_iterator(root)) {
      if (!contains(entry.path(), {"llmcompressor"})) continue;
      const bool large_base =
          contains(entry.path(), {"awq-w4a16"}) || entry.path().filename() == "llmcompressor-gptq-w4a16";
      found.push_back({entry.path(), root / (large_base ? "base" : "base-mini"),
                       !contains(entry.path(), {"gptq", "awq", "smooth"})});
    }
  }
  std::sort(found.begin(), found.end(), [](const Case& a, const Case& b) { return a.folder < b.folder; });
  return found;
}

bool same(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && std::ranges::equal(a.bytes(), b.bytes());
}

// fp4 and MX are decompressed to bf16 whatever is asked for.
DType rounding_of(const scheme::QuantizationArgs& args) {
  const bool short_scales = args.num_bits == 4 && args.type == NumberType::kFloat;
  return short_scales || args.scale_dtype ? DType::kBF16 : DType::kF32;
}

TEST(CompressedTensorsFixtures, DecodeToThePeersWeights) {
  ThreadPool pool(2);
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.folder.string());
    const Checkpoint checkpoint = Checkpoint::open(c.folder / "model.safetensors");
    const auto reader = detect(checkpoint, read_json(c.folder / "config.json"));
    ASSERT_EQ(reader->method(), "compressed-tensors");
    ASSERT_FALSE(reader->modules().empty());
    for (const std::string& module : reader->modules()) reader->read(module);
    if (!fs::exists(c.folder / "expected.safetensors")) continue;
    const Checkpoint expected = Checkpoint::open(c.folder / "expected.safetensors");
    constexpr std::string_view kPrefix = "dequantized.";
    for (const checkpoint::TensorInfo& info : expected.tensors()) {
      if (!info.name.starts_with(kPrefix)) continue;
      const std::string module = info.name.substr(kPrefix.size());
      const Tensor values =
          scheme::dequantize(reader->read(module), pool, rounding_of(*reader->scheme_of(module).weights));
      const Tensor rows = to_float32(expected.read(info.name));
      for (std::int64_t row = 0; row < rows.dim(0); ++row) {
        ASSERT_TRUE(std::ranges::equal(rows.rows(row, row + 1).span<float>(),
                                       values.rows(row * 32, row * 32 + 1).span<float>()))
            << module << " row " << row * 32;
      }
    }
  }
}

// The smallest global scale among the module and those it is fused with.
float shared_global_scale(const Checkpoint& base, const std::string& module, ThreadPool& pool) {
  const std::size_t dot = module.rfind('.') + 1;
  std::vector<std::string> leaves = {module.substr(dot)};
  for (const auto& fused : kFused) {
    if (std::find(fused.begin(), fused.end(), leaves[0]) != fused.end()) leaves = fused;
  }
  float smallest = std::numeric_limits<float>::infinity();
  for (const std::string& leaf : leaves) {
    const std::string name = module.substr(0, dot) + leaf + ".weight";
    if (!base.contains(name)) return 0;  // the shipped base is only a part
    smallest = std::min(smallest, scheme::global_scale_of(base.read(name), pool));
  }
  return smallest;
}

TEST(CompressedTensorsFixtures, RoundingTheBaseGivesTheSameTensors) {
  ThreadPool pool(2);
  const std::unique_ptr<WeightWriter> writer = writer_for("compressed-tensors");
  int compared = 0;
  for (const Case& c : cases()) {
    if (!c.is_data_free) continue;
    SCOPED_TRACE(c.folder.string());
    const Checkpoint checkpoint = Checkpoint::open(c.folder / "model.safetensors"),
                     base = Checkpoint::open(c.base / "model.safetensors");
    const auto reader = detect(checkpoint, read_json(c.folder / "config.json"));
    for (const std::string& module : reader->modules()) {
      SCOPED_TRACE(module);
      scheme::Scheme scheme = reader->scheme_of(module);
      if (scheme.input_activations && scheme.input_activations->dynamic != scheme::Dynamic::kDynamic) {
        scheme.input_activations =
            scheme::preset("W8A8").input_activations;  // only the weight is compared here
        scheme.format.clear();
      }
      const QuantizedMatrix stored = reader->read(module);
      scheme::ObserverOptions options;
      if (stored.global_scale != 0) {
        options.global_scale = stored.global_scale;
        const float shared = shared_global_scale(base, module, pool);
        EXPECT_TRUE(shared == 0 || shared == stored.global_scale) << shared;
      }
      const Tensor weight = base.read(module + ".weight");
      const QuantizedMatrix rounded = scheme::quantize(
          weight, *scheme.weights, scheme::observe(weight, *scheme.weights, options, pool), pool);
      const bool old_packing = contains(c.folder, {"0.8-w3a16"});
      for (const auto& [name, tensor] : writer->encode(module, scheme, rounded, pool)) {
        if (old_packing && name.ends_with("weight_packed")) {
          EXPECT_TRUE(same(rounded.codes, stored.codes));
        } else {
          EXPECT_TRUE(same(tensor, checkpoint.read(name))) << name;
        }
        ++compared;
      }
    }
  }
  EXPECT_GT(compared, 30);
}

TEST(CompressedTensorsFixtures, ConfigComesBackKeyByKey) {
  const std::set<std::string> ours = {"version",
                                      "ignore"};  // our own release; ignored modules are the planner's
  const std::set<std::string> newer = {
      "scale_dtype", "zp_dtype"};  // rejected by older loaders, so only written where needed
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.folder.string());
    const Json block = read_json(c.folder / "config.json")["quantization_config"];
    const compressed_tensors::Config config = compressed_tensors::parse_config(block);
    ModelQuantization model{.groups = config.groups, .ignore = {}, .kv_cache_scheme = {}};
    if (!block["kv_cache_scheme"].is_null()) {
      model.kv_cache_scheme = scheme::parse_quantization_args(block["kv_cache_scheme"], "kv_cache_scheme");
    }
    const Json written = compressed_tensors::config_json(model);
    EXPECT_EQ(written.size(), block.size());
    for (const auto& [key, value] : block.items()) {
      if (ours.contains(key) || key == "config_groups" || key == "kv_cache_scheme") continue;
      EXPECT_EQ(written[key], value) << key;
    }
    for (const auto& [name, group] : block["config_groups"].items()) {
      const Json& other = written["config_groups"][name];
      EXPECT_EQ(other["targets"], group["targets"]);
      EXPECT_EQ(other["format"], group["format"]);
      for (const std::string part : {"weights", "input_activations", "output_activations"}) {
        ASSERT_EQ(other[part].is_null(), group[part].is_null());
        if (group[part].is_null()) continue;
        for (const auto& [key, value] : group[part].items()) {
          if (newer.contains(key)) continue;
          EXPECT_EQ(other[part][key], value == "static" ? Json("weight") : value) << part << " " << key;
        }
      }
    }
  }
}

}  // namespace
}  // namespace farthing::formats
