#include "evaluate/perplexity.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "kernels/elementwise.h"

namespace farthing::evaluate {
namespace {

// Logits are made for this many positions at a time: a whole window of a large vocabulary would be the
// largest thing in memory.
constexpr std::int64_t kRowsAtOnce = 256;

Tensor final_hidden(models::Model& model, std::span<const std::int32_t> ids, ThreadPool& pool) {
  const nn::Batch batch = nn::Batch::of({static_cast<std::int64_t>(ids.size())});
  return model.forward(model.embed(ids, batch.positions, pool), batch, pool);
}

std::span<const float> row_of(const Tensor& matrix, std::int64_t row) {
  return {matrix.data<float>() + row * matrix.dim(1), static_cast<std::size_t>(matrix.dim(1))};
}

double score_window(models::Model& model, models::Model* base, std::span<const std::int32_t> ids,
                    DivergenceMeter& meter, ThreadPool& pool) {
  const Tensor hidden = final_hidden(model, ids, pool);
  const Tensor base_hidden = base ? final_hidden(*base, ids, pool) : Tensor();
  const auto targets = static_cast<std::int64_t>(ids.size()) - 1;
  double nll = 0;
  for (std::int64_t begin = 0; begin < targets + (base ? 1 : 0); begin += kRowsAtOnce) {
    const std::int64_t end = std::min(begin + kRowsAtOnce, targets + (base ? 1 : 0));
    const Tensor logits = model.logits(hidden.rows(begin, end), pool);
    const Tensor base_logits = base ? base->logits(base_hidden.rows(begin, end), pool) : Tensor();
    for (std::int64_t t = begin; t < end; ++t) {
      const auto row = row_of(logits, t - begin);
      if (t < targets) {
        std::int64_t largest = 0;
        nll += kernels::log_sum_exp(row.data(), static_cast<std::int64_t>(row.size()), &largest) -
               row[static_cast<std::size_t>(ids[t + 1])];
      }
      if (base) meter.add(row_of(base_logits, t - begin), row);
    }
  }
  FARTHING_REQUIRE(std::isfinite(nll), Code::kNumeric, "the model's logits are not finite",
                   {{"window_tokens", ids.size()}}, "check the checkpoint with: farthing verify DIR");
  return nll;
}

}  // namespace

Perplexity measure_perplexity(models::Model& model, models::Model* base, std::span<const std::int32_t> ids,
                              const PerplexityOptions& options, ThreadPool& pool, Reporter& reporter,
                              const CancelToken& cancel) {
  std::int64_t limit = model.spec().decoder.max_position_embeddings;
  if (base) {
    const nn::DecoderSpec &decoder = model.spec().decoder, &other = base->spec().decoder;
    FARTHING_REQUIRE(other.vocab_size == decoder.vocab_size, Code::kInvalidArgument,
                     "the two models have different vocabularies",
                     {{"base", other.vocab_size}, {"model", decoder.vocab_size}},
                     "give --base the model that was quantized");
    if (other.max_position_embeddings > 0)
      limit = limit > 0 ? std::min(limit, other.max_position_embeddings) : other.max_position_embeddings;
  }
  FARTHING_REQUIRE(options.window >= 2, Code::kInvalidArgument, "a window needs at least two tokens",
                   {{"window", options.window}});
  FARTHING_REQUIRE(limit <= 0 || options.window <= limit, Code::kInvalidArgument,
                   "the window is longer than the model's positions",
                   {{"window", options.window}, {"max_position_embeddings", limit}},
                   fmt::format("use --window {}", limit));
  std::int64_t windows = static_cast<std::int64_t>(ids.size()) / options.window;
  FARTHING_REQUIRE(windows > 0, Code::kInvalidArgument, "the text is shorter than one window",
                   {{"tokens", ids.size()}, {"window", options.window}},
                   fmt::format("use a longer text, or --window {}", std::max<std::size_t>(2, ids.size())));
  if (options.limit > 0) windows = std::min(windows, options.limit);
  for (const std::int32_t id : ids) {
    FARTHING_REQUIRE(id >= 0 && id < model.spec().decoder.vocab_size, Code::kInvalidArgument,
                     "token is outside the vocabulary",
                     {{"id", id}, {"vocab_size", model.spec().decoder.vocab_size}},
                     "the tokenizer and the weights do not belong together");
  }

  Perplexity result{.window = options.window};
  DivergenceMeter meter;
  for (std::int64_t w = 0; w < windows; ++w) {
    cancel.check();
    result.window_nll.push_back(score_window(
        model, base,
        ids.subspan(static_cast<std::size_t>(w * options.window), static_cast<std::size_t>(options.window)),
        meter, pool));
    result.nll += result.window_nll.back();
    result.tokens += options.window - 1;
    reporter.progress({.stage = "perplexity",
                       .fraction = static_cast<double>(w + 1) / static_cast<double>(windows),
                       .done = w + 1,
                       .total = windows,
                       .detail = fmt::format("perplexity {:.3f}",
                                             std::exp(result.nll / static_cast<double>(result.tokens)))});
  }
  result.perplexity = std::exp(result.nll / static_cast<double>(result.tokens));
  if (base) result.divergence = meter.result();
  return result;
}

}  // namespace farthing::evaluate
