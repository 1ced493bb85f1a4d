// Every family against what transformers computes (fixtures/README.md): logits, hidden states, greedy ids
// with a cache, batches without padding, long prompts, pictures. A few small cases lie in tests/data and
// always run.
#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include "models/folded_source.h"
#include "models/model.h"
#include "models/test_data.h"
#include "models/test_weights.h"

namespace farthing::models {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

constexpr std::string_view kCases[] = {
    "arcee",
    "bloom",
    "cohere",
    "cohere2",
    "deepseek_v2",
    "deepseek_v2-greedy",
    "deepseek_v3",
    "deepseek_v3-halves",
    "dots1",
    "ernie4_5",
    "ernie4_5_moe",
    "exaone4",
    "falcon",
    "falcon-mqa",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3_text",
    "glm",
    "glm4",
    "glm4_moe",
    "glm4_moe_lite",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neox",
    "gpt_neox-serial",
    "gpt_oss",
    "gptj",
    "granite",
    "granitemoeshared",
    "helium",
    "hunyuan_v1_dense",
    "hunyuan_v1_moe",
    "idefics3",
    "internvl",
    "llama",
    "llama-bf16-sharded",
    "llama-rope-dynamic",
    "llama-rope-linear",
    "llama-rope-yarn",
    "llama3",
    "llama4",
    "llama4_text",
    "llama4_text-plain",
    "llava",
    "llava-mistral",
    "llava-newnames",
    "llava_next",
    "llava_onevision",
    "minicpm3",
    "minimax_m2",
    "ministral",
    "ministral3",
    "mistral",
    "mistral3",
    "mixtral",
    "mllama",
    "mpt",
    "nemotron",
    "olmo",
    "olmo2",
    "olmo3",
    "olmoe",
    "opt",
    "opt-350m",
    "opt-fp16-bin",
    "opt-legacy-bin",
    "paligemma",
    "phi",
    "phi3",
    "phi4-mini",
    "pixtral",
    "qwen2",
    "qwen2_5_vl",
    "qwen2_audio",
    "qwen2_moe",
    "qwen2_vl",
    "qwen3",
    "qwen3_moe",
    "qwen3_omni_moe_thinker",
    "qwen3_vl",
    "qwen3_vl_moe",
    "seed_oss",
    "smollm3",
    "smolvlm",
    "stablelm",
    "stablelm-heads",
    "starcoder2",
    "whisper",
};

ThreadPool& pool() {
  static ThreadPool pool(2);
  return pool;
}

Ids to_ids(const Tensor& row) {
  const auto values = row.span<std::int64_t>();
  return Ids(values.begin(), values.end());
}

std::size_t argmax(const Tensor& logits, std::int64_t row) {
  const float* begin = logits.data<float>() + row * logits.dim(1);
  return static_cast<std::size_t>(std::max_element(begin, begin + logits.dim(1)) - begin);
}

// One growing sequence and what its cache holds.
struct Sequence {
  Ids ids;
  PictureTensors pictures;
  nn::SequenceCache cache;
};

class Golden : public testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override {
    folder_ = family_folder(std::string(GetParam()));
    if (!fs::exists(folder_)) GTEST_SKIP() << folder_ << " is not here; set FARTHING_FIXTURES";
    expected_.emplace(checkpoint::Checkpoint::open(folder_ / "expected.safetensors"));
    tolerance_ = read_json(folder_ / "case.json").at("tolerance").at("logits_abs").get<float>();
    model_.emplace(Model::open(with_weights(folder_)));
  }

  bool has(const std::string& name) const { return expected_->contains(name); }
  Tensor expected(const std::string& name) const { return expected_->read(name); }

  void expect_close(const Tensor& actual, const std::string& name, float tolerance) const {
    const Tensor wanted = expected(name);
    ASSERT_EQ(actual.numel(), wanted.numel()) << name;
    float worst = 0.0f;
    bool finite = true;
    for (std::int64_t i = 0; i < wanted.numel(); ++i) {
      const float difference = std::abs(actual.data<float>()[i] - wanted.data<float>()[i]);
      worst = std::max(worst, difference);
      finite = finite && std::isfinite(difference);
    }
    EXPECT_TRUE(finite) << name;
    EXPECT_LE(worst, tolerance) << name;
  }

  // Hidden states are larger than logits in some families: the bound grows with them.
  void expect_hidden_states(const std::vector<Tensor>& states, const std::string& prefix) const {
    for (std::size_t i = 0; i < states.size(); ++i) {
      const std::string name = prefix + "hidden_states." + std::to_string(i);
      if (!has(name)) continue;
      float largest = 1.0f;
      for (const float value : expected(name).span<float>()) largest = std::max(largest, std::abs(value));
      expect_close(states[i], name, tolerance_ * largest);
    }
  }

  // The reference has them axis by axis.
  static void expect_positions(const nn::Batch& batch, const Tensor& wanted) {
    ASSERT_EQ(batch.axes, wanted.dim(0));
    const std::int64_t rows = batch.rows();
    for (std::int64_t axis = 0; axis < batch.axes; ++axis)
      for (std::int64_t row = 0; row < rows; ++row)
        ASSERT_EQ(batch.positions[static_cast<std::size_t>(row * batch.axes + axis)],
                  wanted.data<std::int64_t>()[axis * rows + row])
            << "axis " << axis << " row " << row;
  }

  // The pictures' own tensors one after the other, unless the prompt has its own.
  PictureTensors pictures_of(const std::string& prefix) const {
    PictureTensors pictures;
    const int count = prefix == "one." ? 1 : prefix == "two." ? 2 : 0;
    for (int k = 0; k < count; ++k) {
      const std::string image = "image" + std::to_string(k) + ".";
      for (const checkpoint::TensorInfo& info : expected_->tensors()) {
        if (!info.name.starts_with(image) || info.name.ends_with("_fast")) continue;
        const std::string name = info.name.substr(image.size());
        if (has(prefix + name)) {
          pictures[name] = expected(prefix + name);
        } else {
          pictures[name] =
              pictures.contains(name) ? stack(pictures[name], expected(info.name)) : expected(info.name);
        }
      }
    }
    return pictures;
  }

  static Tensor stack(const Tensor& first, const Tensor& second) {
    Shape shape = first.shape();
    shape[0] += second.dim(0);
    Tensor both = Tensor::empty(first.dtype(), shape);
    std::byte* out = both.mutable_bytes().data();
    out = std::copy(first.bytes().begin(), first.bytes().end(), out);
    std::copy(second.bytes().begin(), second.bytes().end(), out);
    return both;
  }

  void check_forward(const std::string& prefix) {
    const Tensor input_ids = expected(prefix + "input_ids");
    const PictureTensors pictures = pictures_of(prefix);
    const std::int64_t count = input_ids.dim(0), length = input_ids.dim(1);
    if (has(prefix + "image_features"))
      expect_close(model_->image_features(pictures, pool()).rows, prefix + "image_features", tolerance_);
    const std::vector<std::int64_t> lengths(static_cast<std::size_t>(count), length);
    const Prepared prepared = model_->prepare(to_ids(input_ids), lengths, pictures, pool());
    if (has(prefix + "position_ids")) expect_positions(prepared.batch(), expected(prefix + "position_ids"));
    std::vector<Tensor> states;
    const Tensor final_hidden = model_->forward(prepared.hidden, prepared.batch(), pool(), &states);
    expect_hidden_states(states, prefix);
    expect_close(model_->logits(final_hidden, pool()), prefix + "logits", tolerance_);
  }

  // The logits [sequences, V] after the new ids of each sequence: a whole prompt first, then one id each.
  Tensor step(std::vector<Sequence>& sequences, const std::vector<std::int64_t>& done) {
    nn::Batch batch;
    std::vector<Tensor> parts;
    std::vector<std::int64_t> last_rows;
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      Sequence& sequence = sequences[s];
      const auto total = static_cast<std::int64_t>(sequence.ids.size());
      if (done[s] == 0) {
        Prepared prepared = model_->prepare(sequence.ids, sequence.pictures, pool());
        parts.push_back(prepared.hidden);
        batch.add(prepared.sequences.front(), &sequence.cache);
      } else {
        std::vector<std::int64_t> indices;
        for (std::int64_t p = done[s]; p < total; ++p) indices.push_back(p);
        parts.push_back(model_->embed(std::span(sequence.ids).subspan(static_cast<std::size_t>(done[s])),
                                      indices, pool()));
        batch.add(
            nn::Sequence::after(sequence.cache, total - done[s], model_->spec().decoder.position_axes()),
            &sequence.cache);
      }
      last_rows.push_back(batch.rows() - 1);
    }
    Tensor hidden = parts.front();
    for (std::size_t s = 1; s < parts.size(); ++s) hidden = stack(hidden, parts[s]);
    const Tensor final_hidden = model_->forward(hidden, batch, pool());
    Tensor last = final_hidden.rows(last_rows[0], last_rows[0] + 1);
    for (std::size_t s = 1; s < parts.size(); ++s)
      last = stack(last, final_hidden.rows(last_rows[s], last_rows[s] + 1));
    return model_->logits(last, pool());
  }

  // Greedy ids after the prompts. `first_logits` receives the logits of the first step.
  std::vector<Ids> generate(std::vector<Sequence>& sequences, std::int64_t count,
                            Tensor* first_logits = nullptr) {
    std::vector<Ids> generated(sequences.size());
    std::vector<std::int64_t> done(sequences.size(), 0);
    for (Sequence& sequence : sequences) sequence.cache = model_->new_cache();
    for (std::int64_t n = 0; n < count; ++n) {
      for (std::size_t s = 0; s < sequences.size(); ++s) {
        const auto total = static_cast<std::int64_t>(sequences[s].ids.size());
        if (model_->cache_stays_valid(done[s], total)) continue;
        sequences[s].cache = model_->new_cache();
        done[s] = 0;
      }
      const Tensor logits = step(sequences, done);
      if (n == 0 && first_logits != nullptr) *first_logits = logits;
      for (std::size_t s = 0; s < sequences.size(); ++s) {
        done[s] = static_cast<std::int64_t>(sequences[s].ids.size());
        generated[s].push_back(static_cast<std::int32_t>(argmax(logits, static_cast<std::int64_t>(s))));
        sequences[s].ids.push_back(generated[s].back());
      }
    }
    return generated;
  }

  fs::path folder_;
  std::optional<checkpoint::Checkpoint> expected_;
  float tolerance_ = 0.0f;
  std::optional<Model> model_;
};

TEST_P(Golden, ForwardPass) {
  for (const std::string prefix : {"", "long.", "cross.", "one.", "two."}) {
    if (!has(prefix + "logits")) continue;
    SCOPED_TRACE(prefix);
    check_forward(prefix);
  }
}

TEST_P(Golden, GreedyIds) {
  for (const std::string prefix : {"", "long.", "cross.", "one.", "two."}) {
    if (!has(prefix + "generated_ids")) continue;
    SCOPED_TRACE(prefix);
    const Ids wanted = to_ids(expected(prefix + "generated_ids"));
    std::vector<Sequence> sequences(1);
    sequences[0].ids = to_ids(expected(prefix + "input_ids").rows(0, 1));
    sequences[0].pictures = pictures_of(prefix);
    EXPECT_EQ(generate(sequences, static_cast<std::int64_t>(wanted.size()))[0], wanted);
  }
}

// Prompts of different lengths in one batch; what the reference pads is simply left out.
TEST_P(Golden, RaggedBatch) {
  if (!has("padded.input_ids")) GTEST_SKIP() << "the case has no padded batch";
  const Tensor ids = expected("padded.input_ids"), mask = expected("padded.attention_mask");
  const Tensor wanted = expected("padded.generated_ids");
  std::vector<Sequence> sequences(static_cast<std::size_t>(ids.dim(0)));
  for (std::int64_t i = 0; i < ids.numel(); ++i)
    if (mask.data<std::int64_t>()[i] != 0)
      sequences[static_cast<std::size_t>(i / ids.dim(1))].ids.push_back(
          static_cast<std::int32_t>(ids.data<std::int64_t>()[i]));
  Tensor first_logits;
  const std::vector<Ids> generated = generate(sequences, wanted.dim(1), &first_logits);
  expect_close(first_logits, "padded.logits_last", tolerance_);
  for (std::int64_t s = 0; s < ids.dim(0); ++s)
    EXPECT_EQ(generated[static_cast<std::size_t>(s)], to_ids(wanted.rows(s, s + 1)));
}

// Prompts with no, one and two pictures in one batch answer as each does alone.
TEST_P(Golden, PicturesAndTextInOneBatch) {
  if (!has("two.generated_ids")) GTEST_SKIP() << "the case has no pictures";
  std::vector<Sequence> sequences;
  std::vector<Ids> wanted;
  for (const std::string prefix : {"two.", "", "one."}) {
    sequences.push_back({.ids = to_ids(expected(prefix + "input_ids").rows(0, 1)),
                         .pictures = pictures_of(prefix),
                         .cache = {}});
    wanted.push_back(to_ids(expected(prefix + "generated_ids")));
  }
  EXPECT_EQ(generate(sequences, static_cast<std::int64_t>(wanted.front().size())), wanted);
}

// Nothing in the file is left over: what the declaration does not use, it names.
TEST_P(Golden, EveryTensorIsExplained) {
  const auto& source = dynamic_cast<const CheckpointSource&>(model_->source());
  EXPECT_EQ(source.unexplained(), std::vector<std::string>{});
}

// Files may have the names that the reference has in memory, which are ours.
TEST_P(Golden, NamesInMemoryAreUnderstood) {
  for_each_tensor(model_->spec(), [&](const DeclaredTensor& tensor) {
    EXPECT_EQ(canonical_name(model_->spec(), tensor.name), tensor.name);
  });
}

// Moving a scale along every folding pair at once leaves the model as it is, and every layer gives and takes
// one scale at most. Powers of two are exact in any type.
TEST_P(Golden, FoldingPairsKeepTheModel) {
  const Model original = *model_;
  const auto below = std::shared_ptr<const nn::WeightSource>(&original.source(), [](const auto*) {});
  const auto folded = std::make_shared<FoldedSource>(below, pool());
  for (const FoldingPair& pair : folding_pairs_of(original.spec())) {
    const std::int64_t size = std::get<Tensor>(below->linear_weight(pair.balance.front())).dim(1);
    std::vector<float> scale(static_cast<std::size_t>(size));
    for (std::size_t i = 0; i < scale.size(); ++i)
      scale[i] = std::ldexp(1.0f, static_cast<int>(i * 7 % 5) - 2);
    folded->fold(pair, std::move(scale));
    EXPECT_TRUE(folded->is_changed(pair.smooth + ".weight"));
    EXPECT_TRUE(folded->is_changed(pair.balance.back() + ".weight"));
  }
  model_.emplace(original.spec(), folded);
  check_forward(has("one.logits") ? "one." : "");
}

// The walk over the declaration and the blocks themselves agree about linears, their order and their sizes.
TEST_P(Golden, DeclaredLinearsAreThoseOfTheBlocks) {
  std::vector<std::string> declared, built;
  for (const ModuleInfo& linear : linears_of(model_->spec()))
    if (linear.block >= 0) declared.push_back(linear.path);
  for (std::size_t i = 0; i < model_->spec().decoder.blocks.size(); ++i)
    for (const nn::Linear* linear : model_->block(static_cast<std::int64_t>(i)).linears())
      built.push_back(linear->path());
  EXPECT_EQ(declared, built);
}

TEST(GoldenCases, BackEveryFamily) {
  for (const Family& family : families())
    EXPECT_NE(std::find(std::begin(kCases), std::end(kCases), family.golden_case()), std::end(kCases))
        << family.model_type;
}

INSTANTIATE_TEST_SUITE_P(Families, Golden, testing::ValuesIn(kCases), [](const auto& info) {
  std::string name(info.param);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace farthing::models
