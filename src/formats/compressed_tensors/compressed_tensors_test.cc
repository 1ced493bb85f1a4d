#include <filesystem>
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "formats/compressed_tensors/config.h"
#include "formats/weight_format.h"
#include "scheme/observer.h"
#include "scheme/quantizer.h"

namespace farthing::formats {
namespace {

namespace fs = std::filesystem;
using checkpoint::Checkpoint;
using scheme::Scheme;
using testing::HasSubstr;

constexpr char kModule[] = "model.layers.0.mlp.down_proj";
using Tensors = std::vector<std::pair<std::string, Tensor>>;

// A checkpoint of one quantized module in a folder that goes away with it.
class CompressedTensors : public testing::Test {
 protected:
  CompressedTensors()
      : folder_(fs::path(testing::TempDir()) / ("compressed_tensors_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~CompressedTensors() override { fs::remove_all(folder_); }

  static Tensor random_weight(std::int64_t rows, std::int64_t columns, DType dtype = DType::kBF16) {
    std::mt19937 random(static_cast<unsigned>(rows * 1000 + columns));
    std::normal_distribution<float> normal(0.01f, 0.1f);
    Tensor weight = Tensor::empty(DType::kF32, {rows, columns});
    for (std::int64_t i = 0; i < weight.numel(); ++i) weight.mutable_data<float>()[i] = normal(random);
    return from_float32(weight, dtype);
  }

  QuantizedMatrix round(const Scheme& scheme, const Tensor& weight) {
    const auto& args = *scheme.weights;
    return scheme::quantize(weight, args,
                            scheme::observe(weight, args, {.model_dtype = weight.dtype()}, pool_), pool_);
  }

  Tensors encode(const Scheme& scheme, std::int64_t rows, std::int64_t columns) {
    return writer_->encode(kModule, scheme, round(scheme, random_weight(rows, columns)), pool_);
  }

  static Json config_of(const Scheme& scheme) {
    const ModelQuantization model{.groups = {{.name = "group_0", .targets = {"Linear"}, .scheme = scheme}},
                                  .ignore = {"lm_head"},
                                  .kv_cache_scheme = {}};
    return Json{{"quantization_config", writer_for("compressed-tensors")->quantization_config(model)}};
  }

  std::unique_ptr<WeightReader> reader_of(const Tensors& tensors, const Json& config) {
    const fs::path file = folder_ / "model.safetensors";
    checkpoint::save_safetensors(file, tensors);
    return detect(Checkpoint::open(file), config);
  }

  // What the reader says about damaged tensors.
  std::string problem(const Tensors& tensors, const Scheme& scheme) {
    try {
      reader_of(tensors, config_of(scheme))->read(kModule);
      return "";
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == Code::kCorruptData || error.code() == Code::kNotFound) << error.what();
      EXPECT_THAT(error.what(), HasSubstr("model.safetensors"));
      return error.what();
    }
  }

  fs::path folder_;
  ThreadPool pool_{2};
  std::unique_ptr<WeightWriter> writer_ = writer_for("compressed-tensors");
};

Scheme integers(int bits, std::string_view rest) {
  Json json = parse_json(rest, "test");
  json["num_bits"] = bits;
  return {.weights = scheme::parse_quantization_args(json, "weights")};
}

Tensor& tensor(Tensors& tensors, std::string_view suffix) {
  for (auto& [name, value] : tensors) {
    if (name.ends_with(suffix)) return value;
  }
  throw std::out_of_range(std::string(suffix));
}

void remove(Tensors& tensors, std::string_view suffix) {
  std::erase_if(tensors, [&](const auto& entry) { return entry.first.ends_with(suffix); });
}

bool same(const Tensor& a, const Tensor& b) {
  return a.defined() == b.defined() &&
         (!a.defined() || (a.shape() == b.shape() && std::ranges::equal(a.bytes(), b.bytes())));
}

TEST_F(CompressedTensors, EveryIntegerSchemeComesBack) {
  for (int bits = 1; bits <= 8; ++bits) {
    for (const std::string_view rest :
         {R"({"group_size": 32})", R"({"group_size": 32, "symmetric": false})", R"({"strategy": "channel"})",
          R"({"strategy": "channel", "symmetric": false})", R"({"strategy": "tensor"})",
          R"({"strategy": "tensor", "symmetric": false})"}) {
      SCOPED_TRACE(fmt::format("{} bits {}", bits, rest));
      const Scheme scheme = integers(bits, rest);
      const QuantizedMatrix weight = round(scheme, random_weight(37, 96));
      const QuantizedMatrix read =
          reader_of(writer_->encode(kModule, scheme, weight, pool_), config_of(scheme))->read(kModule);
      EXPECT_TRUE(same(read.codes, weight.codes));
      EXPECT_TRUE(same(read.scales, weight.scales));
      EXPECT_TRUE(same(read.zero_points, weight.zero_points));
      EXPECT_EQ(read.symmetric, weight.symmetric);
      EXPECT_EQ(read.group_size, weight.group_size);
      EXPECT_EQ(read.granularity, weight.granularity);
    }
  }
}

TEST_F(CompressedTensors, EveryPresetComesBackAsPlanned) {
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    for (const std::string_view name : scheme::preset_names()) {
      SCOPED_TRACE(name);
      const Scheme scheme = scheme::preset(name);
      if (!scheme.weights || scheme::is_blockwise(*scheme.weights) || scheme::is_llm_int8(*scheme.weights)) {
        EXPECT_THROW(writer_->plan_tensors(kModule, scheme, 40, 256, dtype), Error);
        continue;
      }
      const QuantizedMatrix weight = round(scheme, random_weight(40, 256, dtype));
      Tensors tensors = writer_->encode(kModule, scheme, weight, pool_);
      std::optional<scheme::ActivationQuantization> input;
      if (scheme.input_activations) {
        const float low = -1.5f, high = 3.0f;
        input = scheme.input_activations->dynamic == scheme::Dynamic::kDynamic
                    ? scheme::ActivationQuantization{.args = *scheme.input_activations}
                    : scheme::calibrated(*scheme.input_activations, {&low, 1}, {&high, 1}, dtype);
        for (auto& tensor :
             writer_->encode_activation(kModule, scheme::ActivationSite::kInput, *input, dtype))
          tensors.push_back(std::move(tensor));
      }
      const std::vector<checkpoint::TensorPlan> plan = writer_->plan_tensors(kModule, scheme, 40, 256, dtype);
      ASSERT_EQ(plan.size(), tensors.size());
      for (std::size_t i = 0; i < plan.size(); ++i) {
        EXPECT_EQ(plan[i].name, tensors[i].first);
        EXPECT_EQ(plan[i].dtype, tensors[i].second.dtype());
        EXPECT_EQ(plan[i].shape, tensors[i].second.shape());
      }
      const auto reader = reader_of(tensors, config_of(scheme));
      const QuantizedMatrix read = reader->read(kModule);
      EXPECT_TRUE(same(read.codes, weight.codes));
      EXPECT_TRUE(same(read.scales, weight.scales));
      EXPECT_EQ(read.scales.dtype(), weight.scales.dtype());
      EXPECT_EQ(read.global_scale, weight.global_scale);
      const auto read_input = reader->activation(kModule, scheme::ActivationSite::kInput);
      ASSERT_EQ(read_input.has_value(), input.has_value());
      if (input) {
        EXPECT_EQ(read_input->scales, input->scales);
        EXPECT_EQ(read_input->global_scale, input->global_scale);
      }
      EXPECT_EQ(reader->modules(), std::vector<std::string>{kModule});
      EXPECT_EQ(reader->tensors_of(kModule).size(), tensors.size());
      EXPECT_EQ(reader->describe(kModule).scheme, name == "INT8" ? "W8A8" : name);
    }
  }
}

TEST_F(CompressedTensors, GroupIndexComesBack) {
  Scheme scheme = integers(4, R"({"group_size": 32, "actorder": "group"})");
  QuantizedMatrix weight = round(scheme, random_weight(8, 64));
  EXPECT_FALSE(reader_of(writer_->encode(kModule, scheme, weight, pool_), config_of(scheme))
                   ->read(kModule)
                   .group_index.defined());
  weight.group_index = Tensor::empty(DType::kI32, {64});
  for (int i = 0; i < 64; ++i) weight.group_index.mutable_data<std::int32_t>()[i] = i % 2;
  const Tensors tensors = writer_->encode(kModule, scheme, weight, pool_);
  const QuantizedMatrix read = reader_of(tensors, config_of(scheme))->read(kModule);
  EXPECT_TRUE(same(read.group_index, weight.group_index));

  Tensors unordered = tensors;
  tensor(unordered, "g_idx") = Tensor::empty(DType::kI32, {64});
  std::ranges::fill(std::span(tensor(unordered, "g_idx").mutable_data<std::int32_t>(), 64), -1);
  EXPECT_FALSE(reader_of(unordered, config_of(scheme))->read(kModule).group_index.defined());
  tensor(unordered, "g_idx").mutable_data<std::int32_t>()[7] = 2;
  EXPECT_THAT(problem(unordered, scheme), HasSubstr("outside of the 2 groups"));
}

TEST_F(CompressedTensors, DescribesWhatIsStored) {
  const Scheme scheme = integers(4, R"({"group_size": 32})");
  const WeightDescription text = reader_of(encode(scheme, 64, 128), config_of(scheme))->describe(kModule);
  EXPECT_EQ(text.scheme, "W4A16 group 32");
  EXPECT_EQ(text.layout, "pack-quantized");
  EXPECT_EQ(text.rows, 64);
  EXPECT_EQ(text.columns, 128);
  EXPECT_DOUBLE_EQ(text.bits_per_weight, 4 + 16.0 / 32 + 8.0 * 16 / (64 * 128));
}

TEST_F(CompressedTensors, DamageIsNamed) {
  const Scheme scheme = integers(4, R"({"group_size": 32, "symmetric": false})");
  const Tensors good = encode(scheme, 40, 64);
  EXPECT_EQ(problem(good, scheme), "");
  const auto damaged = [&](const auto& damage, const Scheme& as) {
    Tensors tensors = good;
    damage(tensors);
    return problem(tensors, as);
  };
  for (const std::string_view suffix : {"weight_scale", "weight_shape", "weight_zero_point"}) {
    EXPECT_THAT(damaged([&](Tensors& t) { remove(t, suffix); }, scheme),
                testing::AllOf(HasSubstr("missing"), HasSubstr(fmt::format("{}.{}", kModule, suffix))));
  }
  EXPECT_THAT(damaged([](Tensors& t) { remove(t, "weight_packed"); }, scheme), HasSubstr("missing"));
  EXPECT_THAT(damaged(
                  [](Tensors& t) {
                    tensor(t, "shape") = Tensor::of<std::int64_t>({2}, {40, 65});
                  },
                  scheme),
              HasSubstr("65 codes of 4 bits"));
  EXPECT_THAT(damaged(
                  [](Tensors& t) {
                    tensor(t, "shape") = Tensor::of<std::int64_t>({2}, {41, 64});
                  },
                  scheme),
              HasSubstr("41 rows"));
  EXPECT_THAT(damaged(
                  [](Tensors& t) {
                    tensor(t, "shape") = Tensor::of<std::int64_t>({2}, {40, -64});
                  },
                  scheme),
              HasSubstr("-64 codes"));
  EXPECT_THAT(damaged(
                  [](Tensors& t) {
                    tensor(t, "shape") = Tensor::of<std::int64_t>({2}, {40, 1LL << 62});
                  },
                  scheme),
              HasSubstr("codes"));
  EXPECT_THAT(damaged([](Tensors& t) { tensor(t, "shape") = Tensor::of<std::int64_t>({1}, {40}); }, scheme),
              HasSubstr("two integers"));
  EXPECT_THAT(damaged(
                  [](Tensors& t) {
                    tensor(t, "scale") = Tensor::zeros(DType::kBF16, {40, 0});
                  },
                  scheme),
              HasSubstr("scales are not [40, 2]"));
  EXPECT_THAT(damaged(
                  [](Tensors& t) {
                    tensor(t, "scale") = Tensor::zeros(DType::kBF16, {2, 40});
                  },
                  scheme),
              HasSubstr("scales are not [40, 2]"));
  EXPECT_THAT(damaged(
                  [](Tensors& t) {
                    tensor(t, "scale") = Tensor::zeros(DType::kI32, {40, 2});
                  },
                  scheme),
              HasSubstr("floating-point"));
  EXPECT_THAT(damaged(
                  [](Tensors& t) {
                    tensor(t, "zero_point") = Tensor::zeros(DType::kI32, {4, 2});
                  },
                  scheme),
              HasSubstr("40 rows of 4 bits"));
  EXPECT_THAT(damaged(
                  [](Tensors& t) {
                    tensor(t, "zero_point") = Tensor::zeros(DType::kI8, {4, 2});
                  },
                  scheme),
              HasSubstr("one zero point per scale"));
  EXPECT_THAT(damaged(
                  [](Tensors& t) {
                    tensor(t, "packed") = Tensor::zeros(DType::kF32, {40, 8});
                  },
                  scheme),
              HasSubstr("neither I32 nor U8"));
  EXPECT_THAT(damaged([](Tensors& t) { tensor(t, "packed") = Tensor::zeros(DType::kI32, {320}); }, scheme),
              HasSubstr("not a matrix"));
  EXPECT_THAT(damaged([](Tensors&) {}, integers(8, R"({"group_size": 32, "symmetric": false})")),
              HasSubstr("64 codes of 8 bits"));
  EXPECT_THAT(damaged([](Tensors&) {}, integers(4, R"({"group_size": 64, "symmetric": false})")),
              HasSubstr("scales are not [40, 1]"));
  EXPECT_THAT(damaged([](Tensors&) {}, scheme::preset("FP8_DYNAMIC")), HasSubstr("number type"));
}

TEST_F(CompressedTensors, CodesOutsideOfTheirBitsAreNamed) {
  const Scheme scheme = scheme::preset("W4A8");
  Tensors tensors = encode(scheme, 8, 128);
  EXPECT_EQ(problem(tensors, scheme), "");
  tensor(tensors, ".weight").mutable_data<std::int8_t>()[5] = 8;
  EXPECT_THAT(problem(tensors, scheme), HasSubstr("codes do not fit 4 bits"));
}

TEST_F(CompressedTensors, BadGlobalScaleIsNamed) {
  const Scheme scheme = scheme::preset("NVFP4A16");
  Tensors tensors = encode(scheme, 8, 64);
  tensor(tensors, "global_scale") = Tensor::zeros(DType::kF32, {1});
  EXPECT_THAT(problem(tensors, scheme), HasSubstr("zero or not finite"));
}

TEST_F(CompressedTensors, WhatTheFormatCannotHoldIsRefusedBeforeAnyWork) {
  EXPECT_THROW(writer_->check(integers(4, R"({"group_size": 128})"), 10, 100), Error);
  EXPECT_THROW(writer_->check(scheme::preset("NVFP4A16"), 10, 24), Error);
  EXPECT_THROW(writer_->check(scheme::preset("UNQUANTIZED"), 10, 128), Error);
  Scheme wrong = scheme::preset("W4A16");
  wrong.format = "float-quantized";
  EXPECT_THROW(writer_->check(wrong, 10, 128), Error);
  wrong.format = "nonsense";
  EXPECT_THROW(writer_->check(wrong, 10, 128), Error);
  EXPECT_NO_THROW(writer_->check(integers(4, R"({"strategy": "channel"})"), 10, 101));
}

TEST_F(CompressedTensors, GroupsAreFoundBySpellingAndPrecedence) {
  const Scheme four = integers(4, R"({"group_size": 32})"), eight = integers(8, R"({"group_size": 32})");
  ModelQuantization model{
      .groups = {{"group_0", {"Linear"}, eight}, {"group_1", {"re:model\\.language_model\\.layers"}, four}},
      .ignore = {},
      .kv_cache_scheme = {}};
  const Json config{{"text_config", {{"quantization_config", writer_->quantization_config(model)}}}};
  checkpoint::save_safetensors(folder_ / "model.safetensors", encode(four, 8, 64));
  const Checkpoint checkpoint = Checkpoint::open(folder_ / "model.safetensors");
  EXPECT_THROW(detect(checkpoint, config)->read(kModule), Error);  // taken for the 8-bit group
  const auto reader = detect(checkpoint, config, [](std::string_view module) {
    return fmt::format("model.language_model{}", module.substr(5));
  });
  EXPECT_EQ(reader->read(kModule).bits, 4);
}

TEST_F(CompressedTensors, ConfigNamesOneFormatOrMixed) {
  const auto format = [&](std::vector<std::string_view> presets) {
    ModelQuantization model;
    for (const auto name : presets)
      model.groups.push_back(
          {fmt::format("group_{}", model.groups.size()), {"Linear"}, scheme::preset(name)});
    return writer_->quantization_config(model)["format"].get<std::string>();
  };
  EXPECT_EQ(format({"W4A16", "W8A16"}), "pack-quantized");
  EXPECT_EQ(format({"W8A8"}), "int-quantized");
  EXPECT_EQ(format({"W4AFP8"}), "int-quantized");
  EXPECT_EQ(format({"FP8_BLOCK"}), "float-quantized");
  EXPECT_EQ(format({"W4A16", "FP8_DYNAMIC"}), "mixed-precision");
  EXPECT_EQ(format({"W4A16", "FP8_DYNAMIC", "FP8_DYNAMIC"}), "mixed-precision");
}

TEST_F(CompressedTensors, DetectsWhatItIsAndWhatItIsNot) {
  const Scheme scheme = scheme::preset("W4A16");
  const Tensors dense = {{"model.norm.weight", Tensor::zeros(DType::kBF16, {8})}};
  EXPECT_EQ(reader_of(dense, Json::object())->method(), "none");
  EXPECT_FALSE(reader_of(dense, Json::object())->is_quantized("model.norm"));
  EXPECT_EQ(reader_of(dense, config_of(scheme))->modules().size(), 0u);
  EXPECT_THROW(reader_of(encode(scheme, 8, 128), Json::object()), Error);  // the config was lost
  EXPECT_THROW(reader_of(dense, parse_json(R"({"quantization_config": {"quant_method": "hqq"}})", "test")),
               Error);
  EXPECT_THROW(
      reader_of(dense,
                parse_json(R"({"quantization_config": {"quant_method": "compressed-tensors"}})", "test")),
      Error);
  Json old = config_of(scheme);
  old["compression_config"] = old["quantization_config"];
  old["compression_config"].erase("quant_method");
  old.erase("quantization_config");
  EXPECT_EQ(reader_of(dense, old)->method(), "compressed-tensors");
  Json sparse = config_of(scheme);
  sparse["quantization_config"]["sparsity_config"] = {{"format", "sparse-24-bitmask"}};
  EXPECT_THROW(reader_of(dense, sparse), Error);
  Json rotated = config_of(scheme);
  rotated["quantization_config"]["transform_config"] = parse_json(
      R"({"config_groups": {"R4": {"type": "hadamard", "apply": [{"targets": ["Linear"], "location": "input"}]}}})",
      "test");
  EXPECT_THROW(reader_of(dense, rotated), Error);
  EXPECT_THROW(writer_for("compressed_tensor"), Error);
}

}  // namespace
}  // namespace farthing::formats
