// For tests of formats: one quantized module in a folder of its own, written by a writer and read back.
#pragma once

#include <filesystem>
#include <random>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/error.h"
#include "formats/weight_format.h"
#include "scheme/observer.h"
#include "scheme/quantizer.h"

namespace farthing::formats {

using Tensors = std::vector<std::pair<std::string, Tensor>>;
constexpr char kTestModule[] = "model.layers.0.mlp.down_proj";

class ModuleTest : public testing::Test {
 protected:
  ModuleTest() : folder_(std::filesystem::path(testing::TempDir()) / fmt::format("module_{}", ::getpid())) {
    std::filesystem::create_directories(folder_);
  }
  ~ModuleTest() override { std::filesystem::remove_all(folder_); }

  static Tensor random_weight(std::int64_t rows, std::int64_t columns, DType dtype = DType::kBF16,
                              unsigned seed = 1) {
    std::mt19937 random(seed * 7919 + static_cast<unsigned>(rows * 1000 + columns));
    std::normal_distribution<float> normal(0.01f, 0.1f);
    Tensor weight = Tensor::empty(DType::kF32, {rows, columns});
    for (std::int64_t i = 0; i < weight.numel(); ++i) weight.mutable_data<float>()[i] = normal(random);
    return from_float32(weight, dtype);
  }

  QuantizedMatrix round(const WeightWriter& writer, const scheme::Scheme& scheme, const Tensor& weight) {
    const auto& args = *scheme.weights;
    const scheme::ObserverOptions options{.model_dtype = writer.scale_dtype(weight.dtype())};
    return scheme::quantize(weight, args, scheme::observe(weight, args, options, pool_), pool_);
  }

  static Json config_of(const WeightWriter& writer, const scheme::Scheme& scheme) {
    const ModelQuantization model{.groups = {{.name = "group_0", .targets = {"Linear"}, .scheme = scheme}},
                                  .ignore = {"lm_head"},
                                  .kv_cache_scheme = {}};
    return Json{{"quantization_config", writer.quantization_config(model)}};
  }

  std::unique_ptr<WeightReader> reader_of(const Tensors& tensors, const Json& config) {
    const std::filesystem::path file = folder_ / "model.safetensors";
    checkpoint::save_safetensors(file, tensors);
    return detect(checkpoint::Checkpoint::open(file), config);
  }

  // What the reader says about damaged tensors or a config that lies; "" when it finds nothing.
  std::string problem(const Tensors& tensors, const Json& config) {
    try {
      const auto reader = reader_of(tensors, config);
      reader->describe(kTestModule);
      reader->read(kTestModule);
      return "";
    } catch (const Error& error) {
      EXPECT_TRUE(error.code() == Code::kCorruptData || error.code() == Code::kNotFound ||
                  error.code() == Code::kUnsupported)
          << error.what();
      return error.what();
    }
  }

  static void expect_same(const Tensors& written, const Tensors& again) {
    ASSERT_EQ(written.size(), again.size());
    for (std::size_t i = 0; i < written.size(); ++i) {
      EXPECT_EQ(written[i].first, again[i].first);
      EXPECT_EQ(written[i].second.dtype(), again[i].second.dtype()) << written[i].first;
      EXPECT_EQ(written[i].second.shape(), again[i].second.shape()) << written[i].first;
      EXPECT_TRUE(std::ranges::equal(written[i].second.bytes(), again[i].second.bytes())) << written[i].first;
    }
  }

  // A plan says what encode returns.
  static void expect_planned(const std::vector<checkpoint::TensorPlan>& plan, const Tensors& tensors) {
    ASSERT_EQ(plan.size(), tensors.size());
    for (std::size_t i = 0; i < plan.size(); ++i) {
      EXPECT_EQ(plan[i].name, tensors[i].first);
      EXPECT_EQ(plan[i].dtype, tensors[i].second.dtype()) << plan[i].name;
      EXPECT_EQ(plan[i].shape, tensors[i].second.shape()) << plan[i].name;
    }
  }

  static Tensor& tensor(Tensors& tensors, std::string_view suffix) {
    for (auto& [name, value] : tensors) {
      if (name.ends_with(suffix)) return value;
    }
    throw std::out_of_range(std::string(suffix));
  }

  static Tensors without(Tensors tensors, std::string_view suffix) {
    std::erase_if(tensors, [&](const auto& entry) { return entry.first.ends_with(suffix); });
    return tensors;
  }

  static Tensors with(Tensors tensors, std::string_view suffix, Tensor replacement) {
    tensor(tensors, suffix) = std::move(replacement);
    return tensors;
  }

  std::filesystem::path folder_;
  ThreadPool pool_{2};
};

}  // namespace farthing::formats
