#include "plan/estimate.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <numeric>

#include "base/error.h"
#include "calibrate/builtin.h"
#include "kernels/linear.h"
#include "models/placeholder.h"
#include "plan/footprint.h"
#include "plan/quantize_plan.h"

namespace farthing::plan {
namespace {

constexpr std::int64_t kDefaultContext = 4096;
constexpr std::int64_t kDefaultSamples = 128;

std::uint64_t cache_bytes_per_token(const nn::DecoderSpec& decoder) {
  std::int64_t floats = 0;
  for (const nn::BlockSpec& block : decoder.blocks) {
    floats += block.attention.key_width() + block.attention.value_width();
  }
  return static_cast<std::uint64_t>(floats) * sizeof(float);
}

std::size_t text_length(const Json& content) {
  if (content.is_string()) return content.get_ref<const std::string&>().size();
  std::size_t sum = 0;
  if (content.is_array()) {
    for (const Json& part : content)
      sum += part.is_object() && part.contains("text") ? text_length(part["text"]) : 0;
  }
  return sum;
}

// The samples asked for, all as long as they may be; else about how long the built-in ones are: four letters
// to a token, and what a usual photo takes.
std::vector<std::int64_t> sample_lengths(const nn::ModelSpec& spec, const EstimateOptions& options) {
  if (options.sequence_length > 0) {
    const std::int64_t samples = options.samples > 0 ? options.samples : kDefaultSamples;
    return std::vector<std::int64_t>(static_cast<std::size_t>(samples), options.sequence_length);
  }
  const std::int64_t wanted = options.samples > 0 ? options.samples : kDefaultSamples;
  constexpr std::size_t kLettersPerToken = 4;
  std::int64_t picture_tokens = 0;
  constexpr int kHeight = 480, kWidth = 640;  // of a photo
  if (spec.vision) picture_tokens = models::rows_of_picture(spec, kHeight, kWidth);
  std::vector<std::int64_t> lengths;
  for (const calibrate::Record& record : calibrate::builtin_records({.pictures = spec.vision.has_value()})) {
    std::size_t letters = record.text.size();
    for (const Json& message : record.messages) letters += text_length(message.value("content", Json()));
    lengths.push_back(static_cast<std::int64_t>(letters / kLettersPerToken) +
                      static_cast<std::int64_t>(record.embedded_images.size()) * picture_tokens + 1);
    if (static_cast<std::int64_t>(lengths.size()) == wanted) break;
  }
  return lengths;
}

// Multiply-adds per second of this machine's matrix product, times two.
double flops_per_second(ThreadPool& pool) {
  constexpr std::int64_t kRows = 128, kSize = 1024;
  const kernels::PackedWeight weight = kernels::pack_weight(Tensor::zeros(DType::kF32, {kSize, kSize}));
  const Tensor x = Tensor::zeros(DType::kF32, {kRows, kSize});
  Tensor y = Tensor::zeros(DType::kF32, {kRows, kSize});
  double best = 0;
  for (int pass = 0; pass < 5; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    kernels::linear(x.data<float>(), kRows, weight, nullptr, y.mutable_data<float>(), pool);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, 2.0 * kRows * kSize * kSize / seconds);
  }
  return best;
}

// What AWQ's candidates cost: each is rounded, and judged by a Gram matrix where one linear takes the scale,
// else by running a module, of which those linears are the larger part.
double search_flops(const QuantizePlan& plan, const BlockPlan& block, double tokens, double rounding) {
  std::map<std::string, const models::ModuleInfo*> modules;
  for (const Step& step : block.steps)
    for (const std::size_t index : step.linears)
      modules.emplace(plan.linears[index].module.path, &plan.linears[index].module);
  double flops = 0;
  for (const FoldPlan& fold : block.folds) {
    const Transform& transform = plan.recipe.transforms[fold.transform];
    if (transform.kind != TransformKind::kAwq) continue;
    for (const std::string& path : fold.measured) {
      const auto module = modules.find(path);
      if (module == modules.end()) continue;
      const auto rows = static_cast<double>(module->second->out_features);
      const auto columns = static_cast<double>(module->second->in_features);
      const double judged =
          fold.measured.size() == 1 ? columns : 1.5 * std::min(tokens, static_cast<double>(kSearchRows));
      flops += transform.awq.num_candidates * rows * columns * (2 * judged + rounding);
      if (fold.measured.size() == 1) flops += tokens * columns * columns;
    }
  }
  return flops;
}

// The arithmetic of a run: samples of the original model pass a block once where scales move; those of the
// quantized one pass it once per step and once more with the new weights; every input group has a Gram matrix
// (the upper half) and a factor, every linear is walked column by column.
double quantize_flops(const QuantizePlan& plan, double tokens) {
  constexpr double kRoundingFlops = 200;  // per weight: range, scale, code, and the error that is reported
  double flops = 0;
  std::map<std::pair<bool, std::int64_t>, double> block_weights;  // of the tower of sounds or the decoder
  if (plan.needs_calibration) {
    for (const models::ModuleInfo& module : models::linears_of(*plan.spec)) {
      const bool is_audio = module.audio_block >= 0;
      if (is_audio || module.block >= 0) {
        block_weights[{is_audio, is_audio ? module.audio_block : module.block}] +=
            static_cast<double>(module.in_features) * static_cast<double>(module.out_features);
      }
    }
  }
  for (const BlockPlan& block : plan.blocks) {
    double passes = plan.follows_quantized() ? static_cast<double>(block.steps.size() + 1) : 0.0;
    if (!block.folds.empty()) passes += 1;
    if (plan.pairs_inputs() && !block.is_audio) passes += static_cast<double>(block.steps.size() + 1);
    flops += 2 * block_weights[{block.is_audio, block.index}] * tokens * passes +
             search_flops(plan, block, tokens, kRoundingFlops);
    std::map<std::string, double> groups;
    for (const Step& step : block.steps) {
      for (const std::size_t index : step.linears) {
        const LinearPlan& linear = plan.linears[index];
        const auto rows = static_cast<double>(linear.module.out_features);
        const auto columns = static_cast<double>(linear.module.in_features);
        flops += kRoundingFlops * rows * columns;
        if (linear.method != Method::kGptq) continue;
        flops += rows * columns * columns;
        // GPTAQ walks along two matrices, sums a whole second one and makes its own by two products.
        if (linear.pairs_inputs()) flops += rows * columns * columns;
        groups[linear.module.input_group] =
            (linear.pairs_inputs() ? 3 : 1) * (tokens + columns) * columns * columns;
      }
    }
    for (const auto& [name, group_flops] : groups) flops += group_flops;
  }
  return flops;
}

void estimate_quantization(const QuantizePlan& plan, const EstimateOptions& options, ThreadPool& pool,
                           Estimate& estimate) {
  const auto lengths =
      plan.needs_calibration ? sample_lengths(*plan.spec, options) : std::vector<std::int64_t>{};
  const auto tokens = static_cast<double>(std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0}));
  estimate.quantize_peak_bytes = predict_footprint(plan, lengths).peak_bytes;
  estimate.quantize_seconds = quantize_flops(plan, tokens) / flops_per_second(pool);
  estimate.output_bytes = plan.bytes_out;
}

std::int64_t context_of(const nn::DecoderSpec& decoder, std::int64_t wanted) {
  const std::int64_t made_for =
      decoder.max_position_embeddings > 0 ? decoder.max_position_embeddings : kDefaultContext;
  if (wanted == 0) return std::min(made_for, kDefaultContext);
  FARTHING_REQUIRE(wanted > 0 && (decoder.embed_positions.empty() || wanted <= made_for),
                   Code::kInvalidArgument, "the model has no such positions",
                   {{"context", wanted}, {"max_position_embeddings", made_for}});
  return wanted;
}

}  // namespace

std::optional<std::int64_t> Estimate::largest_context(std::uint64_t memory) const {
  if (!kv_cache_bytes || !activations_bytes || context == 0) return std::nullopt;
  const std::uint64_t growing = *kv_cache_bytes + *activations_bytes;
  const std::uint64_t fixed = run_peak_bytes - growing;
  if (memory < fixed || growing == 0) return std::nullopt;
  const double tokens =
      static_cast<double>(memory - fixed) / (static_cast<double>(growing) / static_cast<double>(context));
  return static_cast<std::int64_t>(tokens);
}

Estimate estimate_model(const checkpoint::Checkpoint& checkpoint, const std::optional<nn::ModelSpec>& spec,
                        const EstimateOptions& options, ThreadPool& pool) {
  FARTHING_REQUIRE(options.samples >= 0 && options.sequence_length >= 0, Code::kInvalidArgument,
                   "calibration cannot have such samples",
                   {{"samples", options.samples}, {"sequence_length", options.sequence_length}});
  Estimate estimate{.weights_bytes = checkpoint.total_bytes()};
  estimate.quantize_scheme = options.scheme.empty() ? "W4A16" : options.scheme;
  try {
    const RecipeFlags flags{
        .scheme = estimate.quantize_scheme, .method = options.method, .gptaq = options.gptaq};
    const QuantizePlan plan =
        make_plan(checkpoint, checkpoint.config(), spec, recipe_from_flags(flags, spec.has_value()), {});
    estimate_quantization(plan, options, pool, estimate);
  } catch (const Error& error) {
    // A model that cannot be quantized can still be run; a scheme that was asked for has to be possible.
    if (!options.scheme.empty() || error.code() != Code::kUnsupported) throw;
  }
  if (!options.scheme.empty()) estimate.weights_bytes = *estimate.output_bytes;

  estimate.run_peak_bytes = kProgramBytes + estimate.weights_bytes;
  if (spec) {
    estimate.context = context_of(spec->decoder, options.context);
    estimate.kv_cache_bytes =
        cache_bytes_per_token(spec->decoder) * static_cast<std::uint64_t>(estimate.context);
    estimate.activations_bytes = activation_bytes(*spec, estimate.context);
    estimate.run_peak_bytes += *estimate.kv_cache_bytes + *estimate.activations_bytes;
  }
  return estimate;
}

Estimate estimate_parameters(std::int64_t parameters, double bits) {
  FARTHING_REQUIRE(bits >= 1 && bits <= 64, Code::kInvalidArgument, "bits of a weight out of range",
                   {{"bits", bits}}, "16 for bf16; 4.25 for 4-bit codes with a 32-bit scale per 128");
  Estimate estimate;
  estimate.weights_bytes = static_cast<std::uint64_t>(static_cast<double>(parameters) * bits / 8);
  estimate.run_peak_bytes = kProgramBytes + estimate.weights_bytes;
  estimate.output_bytes = estimate.weights_bytes;
  return estimate;
}

}  // namespace farthing::plan
