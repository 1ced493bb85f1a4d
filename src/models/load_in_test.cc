#include "models/load_in.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "scheme/quantizer.h"

namespace farthing::models {
namespace {

const std::filesystem::path kDemo = std::filesystem::path(FARTHING_SOURCE_DIR) / "models" / "tiny-llava-21m";

TEST(LoadIn, WeightsTakeTheirBitsAndStayClose) {
  ThreadPool pool(2);
  const Model plain = Model::open(kDemo);
  const auto loaded_bytes = [&](Model model) {
    model.load(pool);
    return model.num_bytes();
  };
  const std::size_t whole = loaded_bytes(Model::open(kDemo));
  const std::size_t eight = loaded_bytes(load_in(plain, "8bit", pool));
  const std::size_t four = loaded_bytes(load_in(plain, "4bit", pool));
  // A quarter of the demo are embedding, head and norms, which stay as they are.
  EXPECT_LT(eight, 0.68 * static_cast<double>(whole));
  EXPECT_LT(four, 0.49 * static_cast<double>(whole));

  const std::string module = plain.spec().decoder.path + ".layers.0.mlp.up_proj";
  const Tensor before = to_float32(std::get<Tensor>(plain.source().linear_weight(module)));
  double error = 0, energy = 0;
  const Model quantized = load_in(plain, "4bit", pool);
  const auto weight = quantized.source().linear_weight(module);
  const Tensor after = scheme::dequantize(std::get<QuantizedMatrix>(weight), pool);
  for (std::int64_t i = 0; i < before.numel(); ++i) {
    const double difference = double{before.data<float>()[i]} - after.data<float>()[i];
    error += difference * difference;
    energy += double{before.data<float>()[i]} * before.data<float>()[i];
  }
  EXPECT_LT(error, 0.02 * energy);
  EXPECT_TRUE(std::holds_alternative<Tensor>(quantized.source().linear_weight(plain.spec().decoder.lm_head)));
}

TEST(LoadIn, OtherFormsAreRefused) {
  ThreadPool pool(1);
  EXPECT_THROW(load_in(Model::open(kDemo), "2bit", pool), Error);
}

}  // namespace
}  // namespace farthing::models
