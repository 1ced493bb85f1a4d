// Families described in YAML are the built-in ones: the same modules, tensors, pairs and logits.
#include "models/described.h"

#include <numeric>

#include <gmock/gmock.h>

#include "base/error.h"
#include "models/expression.h"
#include "models/model.h"
#include "models/test_weights.h"

namespace farthing::models {
namespace {

using testing::HasSubstr;

FamilyDescription description_of(const std::string& family) {
  return FamilyDescription::open(std::filesystem::path(FARTHING_SOURCE_DIR) / "docs/declare" /
                                 (family + ".yaml"));
}

// Formula weights for whatever a declaration asks for.
class FormulaSource : public nn::WeightSource {
 public:
  explicit FormulaSource(const nn::ModelSpec& spec) {
    for_each_tensor(spec, [&](const DeclaredTensor& tensor) { shapes_[tensor.name] = tensor.shape; });
  }
  bool has(std::string_view tensor) const override { return shapes_.contains(std::string(tensor)); }
  Tensor tensor(std::string_view name) const override {
    return formula_tensor(std::string(name), shapes_.at(std::string(name)), 0.4, 0.1);
  }
  std::variant<Tensor, QuantizedMatrix> linear_weight(std::string_view module) const override {
    return tensor(std::string(module) + ".weight");
  }

 private:
  std::map<std::string, Shape> shapes_;
};

std::vector<std::string> tensors_of(const nn::ModelSpec& spec) {
  std::vector<std::string> result;
  for_each_tensor(spec, [&](const DeclaredTensor& tensor) {
    result.push_back(tensor.name + " " + to_string(tensor.shape) + " " + tensor.module);
  });
  return result;
}

std::vector<std::string> modules_of(const nn::ModelSpec& spec) {
  std::vector<std::string> result;
  for (const ModuleInfo& linear : linears_of(spec)) {
    std::string line = linear.path + " " + linear.class_name + " " + linear.input_group;
    for (const auto& [path, class_name] : linear.parents) line += fmt::format(" {}:{}", path, class_name);
    result.push_back(line);
  }
  for (const FoldingPair& pair : folding_pairs_of(spec)) result.push_back(pair.smooth);
  return result;
}

std::vector<float> logits_of(const nn::ModelSpec& spec) {
  ThreadPool pool(1);
  Model model(spec, std::make_shared<const FormulaSource>(spec));
  std::vector<std::int32_t> ids(12);
  std::iota(ids.begin(), ids.end(), 3);
  const nn::Batch batch = nn::Batch::of({12});
  const Tensor logits =
      model.logits(model.forward(model.embed(ids, batch.positions, pool), batch, pool), pool);
  return {logits.data<float>(), logits.data<float>() + logits.numel()};
}

struct Case {
  const char* family;
  const char* config;
};

constexpr Case kCases[] = {
    {"llama", R"({"model_type": "llama", "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 40, "attention_bias": true,
        "rope_scaling": {"rope_type": "linear", "factor": 2.0}})"},
    {"llama", R"({"model_type": "llama", "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 1,
        "num_attention_heads": 3, "head_dim": 10, "vocab_size": 40, "mlp_bias": true, "tie_word_embeddings": true})"},
    {"gpt_neox",
     R"({"model_type": "gpt_neox", "hidden_size": 32, "intermediate_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 4, "vocab_size": 40, "rotary_emb_base": 500})"},
    {"gpt_neox",
     R"({"model_type": "gpt_neox", "hidden_size": 32, "intermediate_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 2, "vocab_size": 40, "rotary_pct": 0.5, "use_parallel_residual": false,
        "hidden_act": "relu"})"},
    {"qwen2_moe",
     R"({"model_type": "qwen2_moe", "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 3,
        "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 40, "num_experts": 4, "num_experts_per_tok": 2,
        "moe_intermediate_size": 12, "shared_expert_intermediate_size": 16, "decoder_sparse_step": 2,
        "use_sliding_window": true, "max_window_layers": 1, "sliding_window": 4})"},
    {"deepseek_v3",
     R"({"model_type": "deepseek_v3", "hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 2,
        "num_attention_heads": 4, "vocab_size": 40, "kv_lora_rank": 12, "q_lora_rank": 8, "qk_nope_head_dim": 6,
        "qk_rope_head_dim": 4, "v_head_dim": 10, "moe_intermediate_size": 12, "n_routed_experts": 8, "n_group": 4,
        "topk_group": 2, "num_experts_per_tok": 3, "n_shared_experts": 2, "first_k_dense_replace": 1,
        "attention_bias": true})"},
};

TEST(Described, IsTheBuiltInFamily) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.config);
    const Config config(parse_json(c.config, "config.json"));
    const nn::ModelSpec built_in = declare(config), described = description_of(c.family).declare(config);
    EXPECT_EQ(tensors_of(described), tensors_of(built_in));
    EXPECT_EQ(modules_of(described), modules_of(built_in));
    EXPECT_EQ(described.default_ignore, built_in.default_ignore);
    EXPECT_EQ(described.sequential_targets, built_in.sequential_targets);
    EXPECT_EQ(logits_of(described), logits_of(built_in));
  }
}

std::string complaint(const std::string& yaml, const std::string& config) {
  try {
    FamilyDescription::parse(yaml, "family.yaml").declare(Config(parse_json(config, "config.json")));
  } catch (const Error& error) {
    return std::string(error.what()) + " " + error.hint();
  }
  return "";
}

TEST(Described, MistakesAreNamed) {
  const std::string good =
      "family: f\narchitecture: F\ndecoder: {path: m, vocab_size: v, hidden_size: 8, num_layers: 1, "
      "final_norm: n}\n"
      "block: {class_name: B, attention: {name: a, num_heads: 2, inputs: [q, k, v], output: o}, "
      "attention_norm: x,\n"
      "  mlp: {name: p, width: 4, up: u, down: d}}\n";
  EXPECT_EQ(complaint(good, R"({"v": 9})"), "");
  EXPECT_THAT(complaint(good, "{}"), HasSubstr("lacks a key that its description needs"));
  EXPECT_THAT(complaint(good + "nam: []\n", R"({"v": 9})"), HasSubstr("did you mean names?"));
  EXPECT_THAT(complaint("a: [1", "{}"), HasSubstr("not valid YAML"));
  EXPECT_THAT(
      complaint("a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n"
                "c: &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]\n"
                "e: &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]\nf: [*e, *e, *e, *e, *e, *e, *e, *e, *e]\n",
                "{}"),
      HasSubstr("too many values"));
  EXPECT_THAT(complaint("family: f\n", "{}"), HasSubstr("hidden_size"));
  EXPECT_THAT(complaint("[]", "{}"), HasSubstr("not a mapping"));
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return complaint(text, R"({"v": 9})");
  };
  EXPECT_THAT(with("[q, k, v]", "[q]"), HasSubstr("another number of inputs"));
  EXPECT_THAT(with("num_heads: 2", "num_heads: 3"), HasSubstr("not divisible"));
  EXPECT_THAT(with("num_heads: 2", "num_heads: 2, layout: odd"), HasSubstr("per_head"));
  EXPECT_THAT(with("hidden_size: 8", "hidden_size: v / 2"), HasSubstr("no integer"));
  EXPECT_THAT(with("num_layers: 1", "num_layers: 100000"), HasSubstr("too many layers"));
}

std::optional<double> value(const std::string& expression) {
  const Config config(parse_json(
      R"({"a": 6, "b": 4, "flag": true, "none": null, "word": "x", "c": {"d": 2.5}})", "config.json"));
  return evaluate(expression, config, {{"layer", 3.0}, {"b", 5.0}});
}

TEST(Expression, IsArithmeticOverKeys) {
  EXPECT_EQ(value("a"), 6);
  EXPECT_EQ(value("b"), 5) << "variables go first";
  EXPECT_EQ(value("a + 2 * b - 1"), 15);
  EXPECT_EQ(value("(a + 2) * b / 4"), 10);
  EXPECT_EQ(value("-a % 4"), -2);
  EXPECT_EQ(value("c.d * 2"), 5);
  EXPECT_EQ(value("sqrt(a + 3)"), 3);
  EXPECT_EQ(value("missing or none or a"), 6);
  EXPECT_EQ(value("missing / 2 or 7"), 7);
  EXPECT_EQ(value("missing"), std::nullopt);
  EXPECT_EQ(value("layer >= 3"), 1);
  EXPECT_EQ(value("layer % 2 == 0"), 0);
  EXPECT_EQ(value("flag or false"), 1);
  EXPECT_EQ(value("1e-6"), 1e-6);
}

TEST(Expression, MistakesAreNamed) {
  for (const char* text : {"", "a +", "(a", "a b", "a / 0", "a % (b - b)", "sqrt(-1)", "word", "a ; b"})
    EXPECT_THROW(value(text), Error) << text;
  EXPECT_THROW(value(std::string(500, '(')), Error);
  EXPECT_THROW(value(std::string(500, '-') + "1"), Error);
}

}  // namespace
}  // namespace farthing::models
