#include "formats/dequantized.h"

#include <gtest/gtest.h>

#include "scheme/quantizer.h"

namespace farthing::formats {
namespace {

namespace fs = std::filesystem;
using checkpoint::Checkpoint;

TEST(Dequantized, EveryFormatIsSeenAsPlainWeights) {
  ThreadPool pool(2);
  for (const std::string name :
       {"llmcompressor-w4a16", "llmcompressor-fp8", "llmcompressor-w8a8", "autoawq-gemm-g64",
        "gptqmodel-w8-g128", "bitsandbytes-fp4", "bitsandbytes-int8"}) {
    SCOPED_TRACE(name);
    const Checkpoint stored = Checkpoint::open(fs::path(FARTHING_SOURCE_DIR) / "tests/data/quantized" / name);
    const auto reader = detect(stored, stored.config());
    const Checkpoint plain = dequantized(stored, {}, {}, pool);
    EXPECT_FALSE(plain.config().contains("quantization_config"));
    EXPECT_EQ(detect(plain, plain.config())->method(), "none");
    EXPECT_LE(plain.total_bytes(), stored.total_bytes());
    for (const std::string& module : reader->modules()) {
      const checkpoint::TensorInfo& info = plain.at(module + ".weight");
      EXPECT_EQ(info.dtype, plain_dtype(stored.config()));
      const QuantizedMatrix weight = reader->read(module);
      const Tensor expected =
          from_float32(to_float32(scheme::dequantize(weight, pool, weight.rounding)), info.dtype);
      EXPECT_TRUE(std::ranges::equal(plain.read(info.name).bytes(), expected.bytes()));
      std::vector<std::byte> streamed;
      plain.stream(info.name, [&](std::span<const std::byte> piece) {
        streamed.insert(streamed.end(), piece.begin(), piece.end());
      });
      EXPECT_TRUE(std::ranges::equal(streamed, expected.bytes()));
      plain.release(info.name);
    }
    for (const checkpoint::TensorInfo& info : plain.tensors()) {
      EXPECT_FALSE(info.name.ends_with("_scale")) << info.name;
    }
  }
}

TEST(Dequantized, APlainCheckpointStaysWhatItIs) {
  ThreadPool pool(1);
  const Checkpoint plain = Checkpoint::open(fs::path(FARTHING_SOURCE_DIR) / "tests/data/families/llama");
  EXPECT_EQ(dequantized(plain, {}, {}, pool).tensors().size(), plain.tensors().size());
}

}  // namespace
}  // namespace farthing::formats
