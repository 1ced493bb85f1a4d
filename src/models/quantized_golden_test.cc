// Quantized checkpoints of the peers run as the peers run them: their logits, with activations and caches
// quantized where the scheme says so. Runs over the large collection when FARTHING_FIXTURES is set.
#include <cmath>

#include <gtest/gtest.h>

#include "models/model.h"
#include "models/test_data.h"

namespace farthing::models {
namespace {

namespace fs = std::filesystem;

double mean_divergence(const Tensor& reference, const Tensor& logits) {
  const std::int64_t width = reference.dim(-1), rows = reference.numel() / width;
  double sum = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* p = reference.data<float>() + row * width;
    const float* q = logits.data<float>() + row * width;
    double p_total = 0, q_total = 0;
    for (std::int64_t i = 0; i < width; ++i) {
      p_total += std::exp(static_cast<double>(p[i]));
      q_total += std::exp(static_cast<double>(q[i]));
    }
    for (std::int64_t i = 0; i < width; ++i)
      sum += std::exp(p[i]) / p_total * ((p[i] - std::log(p_total)) - (q[i] - std::log(q_total)));
  }
  return sum / static_cast<double>(rows);
}

float largest_difference(const Tensor& reference, const Tensor& logits) {
  float largest = 0;
  for (std::int64_t i = 0; i < reference.numel(); ++i)
    largest = std::max(largest, std::abs(reference.data<float>()[i] - logits.data<float>()[i]));
  return largest;
}

bool has_quantized_activations(const Json& config) {
  const Json& quantization = config.at("quantization_config");
  if (!quantization.value("kv_cache_scheme", Json()).is_null()) return true;
  for (const auto& [name, group] : quantization.at("config_groups").items())
    if (!group.value("input_activations", Json()).is_null()) return true;
  return false;
}

TEST(QuantizedGolden, LogitsOfThePeer) {
  const char* all = std::getenv("FARTHING_FIXTURES");
  if (all == nullptr) GTEST_SKIP() << "set FARTHING_FIXTURES";
  const fs::path root = fs::path(all) / "fixtures/quantized";
  ThreadPool pool(2);
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(root)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("llmcompressor")) continue;
    SCOPED_TRACE(name);
    const Json case_facts = read_json(entry.path() / "case.json");
    const std::string base = case_facts.at("base");
    const auto inputs = checkpoint::Checkpoint::open(root / base / "eval.safetensors");
    const auto expected = checkpoint::Checkpoint::open(entry.path() / "expected.safetensors");
    Model model = Model::open(entry.path(), WeightForm::kRounded);
    const Tensor ids = inputs.read("input_ids");
    std::vector<std::int32_t> flat;
    for (std::int64_t i = 0; i < ids.numel(); ++i)
      flat.push_back(static_cast<std::int32_t>(ids.data<std::int64_t>()[i]));
    const nn::Batch batch =
        nn::Batch::of(std::vector<std::int64_t>(static_cast<std::size_t>(ids.dim(0)), ids.dim(1)));
    const Tensor hidden = model.forward(model.embed(flat, batch.positions, pool), batch, pool);
    const Tensor logits = model.logits(hidden, pool), wanted = expected.read("logits");
    const double divergence = mean_divergence(wanted, logits);
    const float difference = largest_difference(wanted, logits);
    RecordProperty(name, std::to_string(divergence));
    if (has_quantized_activations(read_json(entry.path() / "config.json"))) {
      EXPECT_LE(divergence, 2e-4) << "largest difference " << difference;
    } else {
      EXPECT_LE(difference, 1e-3);
    }
    ++compared;
  }
  EXPECT_GT(compared, 25);
}

}  // namespace
}  // namespace farthing::models
