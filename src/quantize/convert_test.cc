#include "quantize/convert.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "formats/weight_format.h"
#include "models/family.h"
#include "scheme/quantizer.h"

namespace farthing::quantize {
namespace {

namespace fs = std::filesystem;
using checkpoint::Checkpoint;
using testing::HasSubstr;

// Checkpoints of other tools, one module each.
class Convert : public testing::Test {
 protected:
  Convert() : folder_(fs::path(testing::TempDir()) / fmt::format("convert_{}", ::getpid())) {
    fs::create_directories(folder_);
  }
  ~Convert() override { fs::remove_all(folder_); }

  static fs::path data(const std::string& name) {
    return fs::path(FARTHING_SOURCE_DIR) / "tests/data/quantized" / name;
  }

  ConvertResult convert(const fs::path& from, const std::string& to, const std::string& format,
                        std::optional<DType> dtype = {}) {
    const Checkpoint source = Checkpoint::open(from);
    Reporter silent;
    return quantize::convert(source, models::declare(models::Config(source.config())),
                             {.output = folder_ / to, .format = format, .dtype = dtype, .overwrite = true},
                             pool_, silent, CancelToken());
  }

  std::string refusal(const std::string& from, const std::string& format) {
    try {
      convert(data(from), "refused", format);
      return "";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kUnsupported) << error.what();
      EXPECT_FALSE(fs::exists(folder_ / "refused"));
      return error.what();
    }
  }

  static void expect_same_tensors(const fs::path& a, const fs::path& b) {
    const Checkpoint first = Checkpoint::open(a), second = Checkpoint::open(b);
    ASSERT_EQ(first.tensors().size(), second.tensors().size());
    for (const checkpoint::TensorInfo& info : first.tensors()) {
      EXPECT_EQ(second.at(info.name).dtype, info.dtype) << info.name;
      EXPECT_TRUE(std::ranges::equal(first.read(info.name).bytes(), second.read(info.name).bytes()))
          << info.name;
    }
  }

  fs::path folder_;
  ThreadPool pool_{2};
};

TEST_F(Convert, ThereAndBackGivesTheSameFile) {
  const struct {
    std::string name, own;
    std::vector<std::string> others;
  } kCases[] = {
      {"autoawq-gemm-g64", "awq", {"compressed-tensors", "gptq", "gptq_v2"}},
      {"gptqmodel-w4-g64-asym", "gptq_v2", {"compressed-tensors", "awq"}},
      {"gptqmodel-w8-g128", "gptq", {"compressed-tensors", "gptq_v2"}},
      {"gptqmodel-w3-g128", "gptq", {"compressed-tensors"}},
      {"autogptq-w4-g128-desc-act", "gptq", {"compressed-tensors"}},
  };
  for (const auto& c : kCases) {
    for (const std::string& other : c.others) {
      SCOPED_TRACE(c.name + " " + other);
      const ConvertResult result = convert(data(c.name), "there", other);
      EXPECT_TRUE(result.lossless);
      EXPECT_EQ(result.layers, 1);
      convert(folder_ / "there", "back", c.own);
      expect_same_tensors(data(c.name), folder_ / "back");
    }
  }
}

TEST_F(Convert, WhatWouldBeLostIsNamed) {
  EXPECT_THAT(refusal("gptqmodel-w3-g128", "awq"), HasSubstr("4 bits"));
  EXPECT_THAT(refusal("autogptq-w4-g128-desc-act", "awq"), HasSubstr("group index"));
  EXPECT_THAT(refusal("autoawq-gemm-g64", "bitsandbytes"), HasSubstr("NF4"));
  EXPECT_THAT(refusal("bitsandbytes-fp4", "gptq"), HasSubstr("k_proj"));
  EXPECT_THAT(refusal("llmcompressor-w8a8", "gptq"), HasSubstr("weight-only"));
  EXPECT_THAT(refusal("autoawq-gemm-g64", "gptq"), "");
}

TEST_F(Convert, PlainWeightsAreThePeersValues) {
  for (const std::string name : {"autoawq-gemm-g64", "gptqmodel-w2-g64", "bitsandbytes-int8"}) {
    SCOPED_TRACE(name);
    const ConvertResult result = convert(data(name), "plain", "", DType::kF32);
    EXPECT_TRUE(result.lossless);
    const Checkpoint plain = Checkpoint::open(folder_ / "plain");
    EXPECT_FALSE(plain.config().contains("quantization_config"));
    const Checkpoint expected = Checkpoint::open(data(name) / "expected.safetensors");
    const std::string module = "model.layers.0.self_attn.k_proj";
    const Tensor values = plain.read(module + ".weight");
    const Tensor rows = to_float32(expected.read("dequantized." + module));
    for (std::int64_t row = 0; row < rows.dim(0); ++row)
      EXPECT_TRUE(std::ranges::equal(rows.rows(row, row + 1).span<float>(),
                                     values.rows(row * 32, row * 32 + 1).span<float>()));
  }
  EXPECT_FALSE(convert(data("gptqmodel-w2-g64"), "plain", "", DType::kBF16).lossless);
}

}  // namespace
}  // namespace farthing::quantize
