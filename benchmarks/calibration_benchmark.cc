// Where the time of calibrating on pictures goes: the tower, which each picture passes once however many
// blocks follow, and the blocks of the bundled model; and what a mixture of experts costs beside a dense
// block. Times are those of all threads together, which neighbours on the machine change least.
#include <ctime>

#include <benchmark/benchmark.h>

#include "nn/block.h"
#include "nn/test_source.h"
#include "quantize/calibrated_model.h"

namespace farthing {
namespace {

constexpr std::int64_t kHidden = 512;

ThreadPool& pool() {
  static ThreadPool pool(2);
  return pool;
}

// The bundled model and samples of the built-in set, half of them about pictures.
struct Bundled {
  std::shared_ptr<const checkpoint::Checkpoint> checkpoint = std::make_shared<const checkpoint::Checkpoint>(
      checkpoint::Checkpoint::open(std::filesystem::path(FARTHING_SOURCE_DIR) / "models" / "tiny-llava-21m"));
  nn::ModelSpec spec = models::declare(*checkpoint);
  Reporter reporter;
  CancelToken cancel;
  calibrate::CalibrationSet samples = calibrate::build_calibration_set(
      {.num_samples = 16}, spec,
      models::PromptProcessor::open(checkpoint->directory(), std::make_shared<const nn::ModelSpec>(spec)),
      reporter, cancel);
};

Bundled& bundled() {
  static Bundled model;
  return model;
}

double seconds_of_all_threads() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

// Tower and projector by themselves, every picture of the samples once.
void encode_pictures(benchmark::State& state) {
  models::Model model(bundled().spec,
                      std::make_shared<models::CheckpointSource>(bundled().checkpoint, bundled().spec));
  for (auto unused : state)
    for (const calibrate::Sample& sample : bundled().samples.samples)
      if (!sample.prompt.pictures.empty())
        benchmark::DoNotOptimize(model.image_features(sample.prompt.pictures, pool()));
  state.counters["pictures"] = static_cast<double>(bundled().samples.ledger.pictures);
  state.counters["weights_MB"] = static_cast<double>(model.num_bytes()) / 1e6;
}

// A calibrated walk over the first blocks without a quantizer: all samples are embedded, and pass every block
// as it is and once more as it will be. Were pictures encoded for every block, `embedding_cpu_ms` would grow
// with the blocks.
void calibrated_walk(benchmark::State& state) {
  Bundled& model = bundled();
  nn::ModelSpec spec = model.spec;
  spec.decoder.blocks.resize(static_cast<std::size_t>(state.range(0)));
  double embedding = 0.0, blocks = 0.0;
  for (auto unused : state) {
    const double start = seconds_of_all_threads();
    quantize::CalibratedModel walk(spec, model.checkpoint, model.samples, quantize::Streams{}, pool(),
                                   model.reporter, model.cancel);
    const double embedded = seconds_of_all_threads();
    for (std::int64_t i = 0; i < state.range(0); ++i) {
      walk.enter({.index = i});
      walk.run_samples({});
      walk.leave(i + 1 == state.range(0));
    }
    embedding += embedded - start;
    blocks += seconds_of_all_threads() - embedded;
  }
  const double runs = static_cast<double>(state.iterations());
  state.counters["embedding_cpu_ms"] = 1e3 * embedding / runs;
  state.counters["blocks_cpu_ms"] = 1e3 * blocks / runs;
}

nn::MlpSpec gated(std::int64_t width) {
  return {.name = "mlp",
          .activation = nn::Activation::kSilu,
          .gate = nn::LinearSpec{"gate", kHidden, width},
          .up = {"up", kHidden, width},
          .down = {"down", width, kHidden}};
}

// One block over 512 rows. With experts, a row visits 2 of 8 that are half as wide each: the same arithmetic
// as the dense block's, on four times the weights.
void feed_forward_block(benchmark::State& state) {
  const bool sparse = state.range(0) == 1;
  constexpr std::int64_t kRows = 512, kHeads = 8, kWidth = 2048, kExperts = 8;
  nn::BlockSpec spec{
      .attention = {.name = "attention",
                    .num_heads = kHeads,
                    .num_key_value_heads = kHeads,
                    .head_dim = kHidden / kHeads,
                    .inputs = {{"q", kHidden, kHidden}, {"k", kHidden, kHidden}, {"v", kHidden, kHidden}},
                    .output = {"o", kHidden, kHidden}},
      .mlp = gated(kWidth)};
  nn::RandomSource source;
  for (const char* name : {"q", "k", "v", "o"})
    source.add(fmt::format("block.attention.{}.weight", name), {kHidden, kHidden});
  const auto add_mlp = [&](const std::string& path, std::int64_t width) {
    source.add(path + ".gate.weight", {width, kHidden});
    source.add(path + ".up.weight", {width, kHidden});
    source.add(path + ".down.weight", {kHidden, width});
  };
  if (sparse) {
    spec.moe = nn::MoeSpec{.name = "mlp",
                           .router = {"router", kHidden, kExperts},
                           .experts_name = "experts",
                           .num_experts = kExperts,
                           .num_experts_per_token = 2,
                           .expert = gated(kWidth / 2)};
    source.add("block.mlp.router.weight", {kExperts, kHidden});
    for (std::int64_t e = 0; e < kExperts; ++e) add_mlp(fmt::format("block.mlp.experts.{}", e), kWidth / 2);
  } else {
    add_mlp("block.mlp", kWidth);
  }
  nn::Block block(spec, "block", 0, source);
  const nn::Batch batch = nn::Batch::of({kRows});
  source.add("rows", {kRows, kHidden});
  const Tensor rows = source.tensor("rows");
  for (auto unused : state) {
    Tensor hidden = rows.clone();
    block.forward(hidden.mutable_data<float>(), {.pool = pool(), .batch = batch});
  }
  state.counters["weights_MB"] = static_cast<double>(block.num_bytes()) / 1e6;
}

BENCHMARK(encode_pictures)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();
BENCHMARK(calibrated_walk)->Arg(1)->Arg(2)->Arg(4)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();
BENCHMARK(feed_forward_block)->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->MeasureProcessCPUTime();

}  // namespace
}  // namespace farthing
