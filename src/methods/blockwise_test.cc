// Against what bitsandbytes 0.50 stores: block sizes, types, nested scales, odd ends, zero blocks, ties.
#include "methods/blockwise.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "methods/llm_int8.h"
#include "methods/rtn.h"
#include "scheme/blockwise.h"
#include "scheme/quantizer.h"
#include "scheme/scheme.h"

namespace farthing::methods {
namespace {

namespace fs = std::filesystem;

class BitsandbytesTensors : public testing::Test {
 protected:
  void SetUp() override {
    fs::path file =
        fs::path(FARTHING_SOURCE_DIR) / "tests/data/quantized/bitsandbytes-tensors/expected.safetensors";
    if (!fs::exists(file)) GTEST_SKIP() << file << " is not here";
    peer_.emplace(checkpoint::Checkpoint::open(file));
  }

  // Places of different elements.
  static std::int64_t different(const Tensor& a, const Tensor& b) {
    EXPECT_EQ(a.num_bytes(), b.num_bytes());
    std::int64_t count = 0;
    for (std::size_t i = 0; i < a.num_bytes(); ++i) count += a.bytes()[i] != b.bytes()[i];
    return count;
  }

  Tensor packed(const Tensor& codes) {
    Tensor bytes = Tensor::zeros(DType::kU8, {(codes.numel() + 1) / 2});
    for (std::int64_t i = 0; i < codes.numel(); ++i)
      bytes.mutable_data<std::uint8_t>()[i / 2] |=
          static_cast<std::uint8_t>(codes.data<std::uint8_t>()[i] << (i % 2 == 0 ? 4 : 0));
    return bytes;
  }

  std::optional<checkpoint::Checkpoint> peer_;
  ThreadPool pool_{2};
};

TEST_F(BitsandbytesTensors, FourBitsAreTheSame) {
  int compared = 0;
  for (const std::string type : {"nf4", "fp4"}) {
    EXPECT_EQ(different(type == "nf4" ? nf4_table() : fp4_table(), peer_->read(type + "_table")), 0);
    for (const std::string dtype : {"bf16", "fp16", "fp32"}) {
      const Tensor weight = peer_->read("weight." + dtype);
      for (const int block : {32, 64, 128, 256, 4096}) {
        for (const std::string nesting : {"single", "double"}) {
          const std::string name = fmt::format("{}.{}.b{}.{}", type, dtype, block, nesting);
          if (!peer_->contains(name + ".weight")) continue;
          SCOPED_TRACE(name);
          scheme::QuantizationArgs args = *scheme::preset(type).weights;
          args.group_size = block;
          if (nesting == "double") args.scale_dtype = DType::kU8;
          const QuantizedMatrix matrix = rtn(weight, args, {}, pool_);
          const Tensor scales =
              nesting == "double" ? matrix.nested_scales->codes : scheme::scales_by_block(matrix);
          EXPECT_EQ(different(packed(matrix.codes), peer_->read(name + ".weight")), 0);
          EXPECT_EQ(different(scales, peer_->read(name + ".weight.absmax")), 0);
          if (nesting == "double") {
            EXPECT_EQ(different(matrix.nested_scales->scales, peer_->read(name + ".weight.nested_absmax")),
                      0);
            const Tensor text =
                peer_->read(fmt::format("{}.weight.quant_state.bitsandbytes__{}", name, type));
            const Json state =
                parse_json({reinterpret_cast<const char*>(text.bytes().data()), text.num_bytes()}, name);
            EXPECT_EQ(matrix.nested_scales->offset, state["nested_offset"].get<float>());
          }
          const Tensor values = scheme::dequantize(matrix, pool_, matrix.rounding);
          const Tensor expected = to_float32(peer_->read(name + ".dequantized"));
          EXPECT_TRUE(std::ranges::equal(values.span<float>(), expected.span<float>()));
          ++compared;
        }
      }
    }
  }
  EXPECT_GT(compared, 10);
}

TEST_F(BitsandbytesTensors, DynamicMapIsTheSame) {
  EXPECT_EQ(different(dynamic_map(), peer_->read("dynamic_map_signed")), 0);
}

TEST_F(BitsandbytesTensors, EightBitsAreTheSame) {
  const QuantizedMatrix matrix = llm_int8(peer_->read("weight.fp16"), pool_);
  EXPECT_EQ(different(matrix.scales, peer_->read("int8.SCB")), 0);
  EXPECT_EQ(different(matrix.codes, peer_->read("int8.weight")), 0);
}

TEST(Blockwise, NotFiniteIsRefused) {
  ThreadPool pool(1);
  Tensor weight = Tensor::zeros(DType::kF32, {2, 8});
  weight.mutable_data<float>()[3] = INFINITY;
  EXPECT_THROW(rtn(weight, *scheme::preset("NF4").weights, {}, pool), Error);
  EXPECT_THROW(rtn(weight, *scheme::preset("LLM_INT8").weights, {}, pool), Error);
}

TEST(Blockwise, AWeightOfZerosStaysZero) {
  ThreadPool pool(1);
  for (const std::string_view name : {"NF4", "FP4", "NF4_DQ", "LLM_INT8"}) {
    const QuantizedMatrix matrix =
        rtn(Tensor::zeros(DType::kF32, {3, 50}), *scheme::preset(name).weights, {}, pool);
    const Tensor values = scheme::dequantize(matrix, pool);
    for (const float value : values.span<float>()) EXPECT_EQ(value, 0.0f) << name;
  }
}

}  // namespace
}  // namespace farthing::methods
