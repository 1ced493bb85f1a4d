// Random blocks of every type against what the gguf package for Python decodes.
#include "checkpoint/gguf/blocks.h"

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

#include "checkpoint/checkpoint.h"

namespace farthing::checkpoint::gguf {
namespace {

TEST(GgufBlocks, DecodeToThePeersValues) {
  const std::filesystem::path file =
      std::filesystem::path(FARTHING_SOURCE_DIR) / "tests/data/gguf/blocks.safetensors";
  const Checkpoint peer = Checkpoint::open(file);
  int compared = 0;
  for (const TensorInfo& info : peer.tensors()) {
    constexpr std::string_view kSuffix = ".blocks";
    if (!info.name.ends_with(kSuffix) || info.name.starts_with("encode.")) continue;
    const std::string name = info.name.substr(0, info.name.size() - kSuffix.size());
    SCOPED_TRACE(name);
    const BlockType* type = find_block_type(name);
    ASSERT_NE(type, nullptr);
    const Tensor blocks = peer.read(info.name), expected = peer.read(name + ".dequantized");
    EXPECT_EQ(blocks.dim(1), type->bytes * (expected.dim(1) / type->values));
    if (type->decode == nullptr) continue;
    Tensor values = Tensor::zeros(DType::kF32, expected.shape());
    for (std::int64_t b = 0; b < expected.numel() / type->values; ++b)
      type->decode(blocks.data<std::uint8_t>() + b * type->bytes,
                   values.mutable_data<float>() + b * type->values);
    std::int64_t different = 0;
    for (std::int64_t i = 0; i < values.numel(); ++i)
      different += values.data<float>()[i] != expected.data<float>()[i];
    EXPECT_EQ(different, 0);
    ++compared;
  }
  EXPECT_EQ(compared, 16);
}

}  // namespace
}  // namespace farthing::checkpoint::gguf
