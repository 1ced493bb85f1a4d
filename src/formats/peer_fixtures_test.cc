// Checkpoints that AutoGPTQ, GPTQModel, AutoAWQ and bitsandbytes wrote: what they decode to, and that writing
// what was read gives the same tensors. The shipped ones hold one module each; all of them are checked when
// FARTHING_FIXTURES is set.
#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

#include "formats/weight_format.h"
#include "scheme/quantizer.h"

namespace farthing::formats {
namespace {

namespace fs = std::filesystem;
using checkpoint::Checkpoint;

bool starts_with_any(const std::string& name, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

std::vector<fs::path> cases() {
  std::vector<fs::path> roots = {fs::path(FARTHING_SOURCE_DIR) / "tests/data/quantized"};
  if (const char* all = std::getenv("FARTHING_FIXTURES"))
    roots.push_back(fs::path(all) / "fixtures/quantized");
  std::vector<fs::path> found;
  for (const fs::path& root : roots) {
    for (const auto& entry : fs::directory_iterator(root)) {
      const std::string name = entry.path().filename().string();
      if (starts_with_any(name, {"autogptq", "gptqmodel", "autoawq", "bitsandbytes"}) &&
          fs::exists(entry.path() / "config.json"))
        found.push_back(entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::unique_ptr<WeightReader> reader_of(const Checkpoint& checkpoint) {
  return detect(checkpoint, checkpoint.config());
}

// GEMV_FAST keeps rounded products of scale and zero point, which the peer's runtime adds; the peer's
// expected values come from the same search packed for GEMM.
TEST(PeerFixtures, DecodeToThePeersWeights) {
  ThreadPool pool(2);
  int compared = 0;
  for (const fs::path& folder : cases()) {
    SCOPED_TRACE(folder.string());
    const Checkpoint checkpoint = Checkpoint::open(folder);
    const Checkpoint expected = Checkpoint::open(folder / "expected.safetensors");
    const auto reader = reader_of(checkpoint);
    ASSERT_FALSE(reader->modules().empty());
    for (const std::string& module : reader->modules()) reader->read(module);
    constexpr std::string_view kPrefix = "dequantized.";
    for (const checkpoint::TensorInfo& info : expected.tensors()) {
      if (!info.name.starts_with(kPrefix)) continue;
      const QuantizedMatrix weight = reader->read(info.name.substr(kPrefix.size()));
      EXPECT_EQ(weight.rounding, info.dtype);
      const Tensor values = scheme::dequantize(weight, pool, weight.rounding);
      const Tensor rows = to_float32(expected.read(info.name));
      for (std::int64_t row = 0; row < rows.dim(0); ++row) {
        ASSERT_TRUE(std::ranges::equal(rows.rows(row, row + 1).span<float>(),
                                       values.rows(row * 32, row * 32 + 1).span<float>()))
            << info.name << " row " << row * 32;
      }
      ++compared;
    }
  }
  EXPECT_GT(compared, 7);
}

// AutoGPTQ's damaged zero points, and what only GEMV kernels read, are never written.
TEST(PeerFixtures, WritingWhatWasReadGivesTheSameTensors) {
  ThreadPool pool(2);
  int compared = 0;
  for (const fs::path& folder : cases()) {
    if (folder.filename().string().find("gemv") != std::string::npos ||
        folder.filename() == "autogptq-w4-g128-asym-static-groups")
      continue;
    SCOPED_TRACE(folder.string());
    const Checkpoint checkpoint = Checkpoint::open(folder);
    const auto reader = reader_of(checkpoint);
    for (const std::string& module : reader->modules()) {
      const std::string layout = reader->describe(module).layout;
      const auto writer = writer_for(layout == "gemm" ? "awq" : layout);
      const bool other_storage = folder.filename().string().find("bf16-storage") != std::string::npos;
      scheme::Scheme scheme = reader->scheme_of(module);
      for (const auto& [name, tensor] : writer->encode(module, scheme, reader->read(module), pool)) {
        const Tensor stored = checkpoint.read(name);
        ++compared;
        if (name.find("quant_state") != std::string::npos) {  // spaces may follow the text
          ASSERT_GE(tensor.num_bytes(), stored.num_bytes());
          EXPECT_TRUE(std::ranges::equal(tensor.bytes().first(stored.num_bytes()), stored.bytes()));
          continue;
        }
        EXPECT_TRUE(std::ranges::equal(tensor.bytes(), stored.bytes())) << name;
        if (other_storage) continue;
        EXPECT_EQ(tensor.dtype(), stored.dtype()) << name;
        EXPECT_EQ(tensor.shape(), stored.shape()) << name;
      }
    }
  }
  EXPECT_GT(compared, 20);
}

}  // namespace
}  // namespace farthing::formats
