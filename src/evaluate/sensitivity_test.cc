// Many trials in one walk against one whole model for each.
#include "evaluate/sensitivity.h"

#include <gtest/gtest.h>

#include "evaluate/divergence.h"
#include "generate/engine.h"
#include "methods/rtn.h"

namespace farthing::evaluate {
namespace {

class Sensitivity : public testing::Test {
 protected:
  static models::Model open() {
    return models::Model::open(std::filesystem::path(FARTHING_SOURCE_DIR) / "tests/data/families/llama");
  }
  Sensitivity() {
    for (std::int32_t i = 0; i < 3; ++i) {
      calibrate::Sample& sample = set_.samples.emplace_back();
      for (std::int32_t t = 0; t < 40 + i; ++t) sample.prompt.ids.push_back((7 + 31 * t + i * t * t) % 320);
    }
  }

  static scheme::Scheme bits(int count) {
    return {.weights = scheme::QuantizationArgs{.num_bits = count, .strategy = scheme::Strategy::kChannel}};
  }

  double whole_model(const SchemesByLinear& schemes) {
    models::Model base = open(), changed = open();
    changed.load(pool_);
    for (std::int64_t b = 0; b < static_cast<std::int64_t>(changed.spec().decoder.blocks.size()); ++b) {
      for (nn::Linear* linear : changed.block(b).linears()) {
        const auto scheme = schemes.find(linear->path());
        if (scheme == schemes.end()) continue;
        const Tensor weight = std::get<Tensor>(changed.source().linear_weight(linear->path()));
        linear->set_weight(
            methods::rtn(weight, *scheme->second.weights, {.model_dtype = weight.dtype()}, pool_));
        if (scheme->second.input_activations)
          linear->set_input_quantization(
              scheme::ActivationQuantization{.args = *scheme->second.input_activations});
      }
    }
    DivergenceMeter meter;
    for (const calibrate::Sample& sample : set_.samples) {
      const Tensor a = generate::prompt_logits(base, sample.prompt, pool_);
      const Tensor b = generate::prompt_logits(changed, sample.prompt, pool_);
      const auto width = static_cast<std::size_t>(a.dim(1));
      for (std::int64_t t = 0; t < a.dim(0); ++t)
        meter.add({a.data<float>() + t * a.dim(1), width}, {b.data<float>() + t * a.dim(1), width});
    }
    return meter.result().kl_mean;
  }

  calibrate::CalibrationSet set_;
  ThreadPool pool_{2};
  Reporter reporter_;
  CancelToken cancel_;
  QuantizeLinear round_ = [this](const std::string&, const scheme::Scheme& scheme, const Tensor& weight) {
    return methods::rtn(weight, *scheme.weights, {.model_dtype = weight.dtype()}, pool_);
  };
};

TEST_F(Sensitivity, IsWhatTheWholeModelSays) {
  const std::vector<SensitivityTrial> trials = {
      {{{"model.layers.0.self_attn.q_proj", bits(3)}, {"model.layers.0.self_attn.k_proj", bits(3)}},
       {{"model.layers.0.self_attn.q_proj", bits(6)}, {"model.layers.0.self_attn.k_proj", bits(6)}}},
      {{{"model.layers.1.mlp.down_proj", scheme::preset("FP8_DYNAMIC")}}},
      {{{"model.layers.1.self_attn.o_proj", bits(4)}}, {{"model.layers.1.self_attn.o_proj", bits(8)}}}};
  models::Model model = open();
  const auto found = measure_sensitivities(model, set_.samples, trials, round_, pool_, reporter_, cancel_);
  ASSERT_EQ(found.size(), trials.size());
  for (std::size_t t = 0; t < trials.size(); ++t) {
    ASSERT_EQ(found[t].size(), trials[t].size());
    const double expected = whole_model(trials[t].front());
    EXPECT_GT(expected, 0) << t;
    EXPECT_NEAR(found[t].front(), expected, 2e-3 * expected + 1e-8) << t;
  }
  // The finer way is foretold from the coarse one.
  EXPECT_NEAR(found[0][1] / whole_model(trials[0][1]), 1, 0.5);
  EXPECT_LT(found[2][1], 0.02 * found[2][0]);
}

TEST_F(Sensitivity, UnitsTogether) {
  const SchemesByLinear all = {{"model.layers.0.mlp.up_proj", bits(4)},
                               {"model.layers.0.mlp.gate_proj", bits(4)},
                               {"model.layers.1.mlp.up_proj", bits(8)}};
  models::Model model = open();
  const double found = measure_together(model, set_.samples, all, round_, pool_, reporter_, cancel_);
  const double expected = whole_model(all);
  EXPECT_NEAR(found, expected, 2e-3 * expected + 1e-8);
  EXPECT_EQ(measure_together(model, set_.samples, {}, round_, pool_, reporter_, cancel_), 0.0);
  models::Model same = open();
  EXPECT_EQ(measure_models(model, same, set_.samples, pool_, cancel_), 0.0);
}

TEST_F(Sensitivity, SamplesAreSpreadEvenlyAndTextsCut) {
  EXPECT_EQ(samples_of(set_, 1).size(), 1u);
  EXPECT_EQ(samples_of(set_, 90).size(), 2u);
  EXPECT_EQ(samples_of(set_, 90)[1].prompt.ids.size(), 41u);
  EXPECT_EQ(samples_of(set_, 100000).size(), 3u);
  set_.samples[0].prompt.ids.resize(4000, 5);
  EXPECT_EQ(samples_of(set_, 1)[0].prompt.ids.size(), 256u);
}

}  // namespace
}  // namespace farthing::evaluate
