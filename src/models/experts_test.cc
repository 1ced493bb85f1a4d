// Experts in every form in which files have them: one tensor each, all of a layer together, and MXFP4.
#include <cmath>
#include <fstream>
#include <numeric>

#include <gmock/gmock.h>

#include "base/error.h"
#include "models/model.h"
#include "models/tensor_part.h"
#include "models/test_weights.h"

namespace farthing::models {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kHidden = 32, kInner = 64, kExperts = 3;
constexpr const char* kConfig =
    R"({"model_type": "gpt_oss", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "num_local_experts": 3,
        "num_experts_per_tok": 2, "vocab_size": 40, "sliding_window": 3, "max_position_embeddings": 64})";
constexpr const char* kQuantizedConfig = R"({"quantization_config": {"quant_method": "mxfp4"}})";
const std::string kExpertsPath = "model.layers.0.mlp.experts.";

using Tensors = std::vector<std::pair<std::string, Tensor>>;

// Nibbles and exponents of all experts, and the numbers that they stand for: [experts, out, in].
struct Packed {
  Tensor blocks, scales, values;
};

Packed pack(const std::string& name, std::int64_t outputs, std::int64_t inputs) {
  constexpr float kE2m1[] = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  const std::int64_t groups = inputs / 32;
  const Tensor noise = formula_tensor(name, {kExperts, outputs, inputs}, 8.0, 8.0);
  Packed packed{Tensor::empty(DType::kU8, {kExperts, outputs, groups, 16}),
                Tensor::empty(DType::kU8, {kExperts, outputs, groups}),
                Tensor::empty(DType::kF32, {kExperts, outputs, inputs})};
  for (std::int64_t i = 0; i < noise.numel(); ++i) {
    const auto code = static_cast<std::uint8_t>(std::min(noise.data<float>()[i], 15.0f));
    const auto exponent = static_cast<std::uint8_t>(123 + i / 32 % 3);
    std::uint8_t& byte = packed.blocks.mutable_data<std::uint8_t>()[i / 2];
    byte = static_cast<std::uint8_t>(i % 2 == 0 ? code : byte | code << 4);
    packed.scales.mutable_data<std::uint8_t>()[i / 32] = exponent;
    const float magnitude = std::ldexp(kE2m1[code & 7], exponent - 127);
    packed.values.mutable_data<float>()[i] = code < 8 ? magnitude : -magnitude;
  }
  return packed;
}

class ExpertFiles : public testing::Test {
 protected:
  ExpertFiles()
      : folder_(fs::path(testing::TempDir()) / ("experts-" + std::to_string(::getpid()))),
        gate_up_(pack("gate_up", 2 * kInner, kHidden)),
        down_(pack("down", kHidden, kInner)) {}
  ~ExpertFiles() override { fs::remove_all(folder_); }

  // Everything but the experts' weights.
  static Tensors others() {
    Tensors tensors;
    const nn::ModelSpec spec = declare(Config(parse_json(kConfig, "config")));
    for_each_tensor(spec, [&](const DeclaredTensor& tensor) {
      if (!tensor.name.starts_with(kExpertsPath))
        tensors.emplace_back(tensor.name, formula_tensor(tensor.name, tensor.shape, 0.5, 0.0));
    });
    return tensors;
  }

  static Tensor bias(const std::string& name, std::int64_t outputs) {
    return formula_tensor(name, {kExperts, outputs}, 0.5, 0.0);
  }

  static void add_biases(Tensors& tensors) {
    tensors.emplace_back(kExpertsPath + "gate_up_proj_bias", bias("gate_up", 2 * kInner));
    tensors.emplace_back(kExpertsPath + "down_proj_bias", bias("down", kHidden));
  }

  Tensors together() const {
    Tensors tensors = others();
    add_biases(tensors);
    const auto add = [&](const std::string& name, const Packed& packed) {
      const std::int64_t outputs = packed.values.dim(1), inputs = packed.values.dim(2);
      const TensorPart part{.whole_shape = {kExperts, inputs, outputs}, .transposed = true};
      tensors.emplace_back(kExpertsPath + name,
                           put_together(packed.values.reshape({kExperts * outputs, inputs}), part));
    };
    add("gate_up_proj", gate_up_);
    add("down_proj", down_);
    return tensors;
  }

  Tensors packed() const {
    Tensors tensors = others();
    add_biases(tensors);
    tensors.emplace_back(kExpertsPath + "gate_up_proj_blocks", gate_up_.blocks);
    tensors.emplace_back(kExpertsPath + "gate_up_proj_scales", gate_up_.scales);
    tensors.emplace_back(kExpertsPath + "down_proj_blocks", down_.blocks);
    tensors.emplace_back(kExpertsPath + "down_proj_scales", down_.scales);
    return tensors;
  }

  Tensors one_by_one() const {
    Tensors tensors = others();
    const auto add = [&](std::int64_t e, const std::string& name, const Packed& all, const Tensor& biases,
                         std::int64_t first, std::int64_t step, std::int64_t count) {
      Tensor weight = Tensor::empty(DType::kF32, {count, all.values.dim(2)});
      Tensor own_bias = Tensor::empty(DType::kF32, {count});
      for (std::int64_t r = 0; r < count; ++r) {
        const std::int64_t row = e * all.values.dim(1) + first + r * step;
        std::copy_n(all.values.data<float>() + row * weight.dim(1), weight.dim(1),
                    weight.mutable_data<float>() + r * weight.dim(1));
        own_bias.mutable_data<float>()[r] = biases.data<float>()[row];
      }
      const std::string path = kExpertsPath + std::to_string(e) + "." + name;
      tensors.emplace_back(path + ".weight", weight);
      tensors.emplace_back(path + ".bias", own_bias);
    };
    for (std::int64_t e = 0; e < kExperts; ++e) {
      add(e, "gate_proj", gate_up_, bias("gate_up", 2 * kInner), 0, 2, kInner);
      add(e, "up_proj", gate_up_, bias("gate_up", 2 * kInner), 1, 2, kInner);
      add(e, "down_proj", down_, bias("down", kHidden), 0, 1, kHidden);
    }
    return tensors;
  }

  Model open(const Tensors& tensors, bool quantized = false) const {
    fs::create_directories(folder_);
    Json config = parse_json(kConfig, "config");
    if (quantized) config.update(parse_json(kQuantizedConfig, "config"));
    std::ofstream(folder_ / "config.json") << config.dump();
    checkpoint::save_safetensors(folder_ / "model.safetensors", tensors);
    Model model = Model::open(folder_);
    EXPECT_THAT(dynamic_cast<const CheckpointSource&>(model.source()).unexplained(), testing::IsEmpty());
    return model;
  }

  static std::vector<float> logits(Model model) {
    ThreadPool pool(1);
    std::vector<std::int32_t> ids(9);
    std::iota(ids.begin(), ids.end(), 5);
    const nn::Batch batch = nn::Batch::of({9});
    const Tensor hidden = model.forward(model.embed(ids, batch.positions, pool), batch, pool);
    const Tensor result = model.logits(hidden, pool);
    return {result.data<float>(), result.data<float>() + result.numel()};
  }

  fs::path folder_;
  Packed gate_up_, down_;
};

TEST_F(ExpertFiles, EveryFormIsTheSameModel) {
  const std::vector<float> expected = logits(open(together()));
  EXPECT_EQ(logits(open(one_by_one())), expected);
  EXPECT_THAT(logits(open(packed(), true)), testing::Pointwise(testing::FloatNear(1e-4f), expected));
}

TEST_F(ExpertFiles, FilesThatLieAreRefused) {
  const auto with = [&](const std::string& name, Tensor tensor) {
    Tensors tensors = packed();
    for (auto& [known, value] : tensors)
      if (known == kExpertsPath + name) value = tensor;
    return tensors;
  };
  EXPECT_THROW(open(with("down_proj_blocks", Tensor::zeros(DType::kU8, {kExperts, kHidden, 1, 16})), true),
               Error);
  EXPECT_THROW(open(with("down_proj_blocks", Tensor::zeros(DType::kU8, {kExperts, kHidden, 32})), true),
               Error);
  EXPECT_THROW(open(with("down_proj_scales", Tensor::zeros(DType::kU8, {kExperts, 1})), true), Error);
  EXPECT_THROW(open(with("down_proj_bias", Tensor::zeros(DType::kF32, {kExperts, kHidden + 1})), true),
               Error);
  Tensors fused = together();
  fused.back().second = Tensor::zeros(DType::kF32, {kExperts, kHidden, kInner});
  EXPECT_THROW(open(fused), Error);
}

TEST(TensorParts, NamesFollowTheFile) {
  const TensorPart part{.whole = "model.layers.1.mlp.experts.gate_up_proj", .prefix = 18};
  EXPECT_EQ(part_name(part, "model.layers.1.mlp.experts.7.up_proj.weight",
                      "language_model.model.layers.1.mlp.experts.gate_up_proj"),
            "language_model.model.layers.1.mlp.experts.7.up_proj.weight");
}

}  // namespace
}  // namespace farthing::models
