#include "generate/engine.h"

#include <chrono>
#include <cstring>

#include "base/error.h"

namespace farthing::generate {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void check_room(const nn::DecoderSpec& decoder, const models::Prompt& prompt, std::int64_t max_tokens) {
  const auto length = static_cast<std::int64_t>(prompt.ids.size());
  FARTHING_REQUIRE(length > 0, Code::kInvalidArgument, "the prompt is empty", {},
                   "type a question, or give a tokenizer that adds a <bos>");
  // Learned positions end with their table; reading past it would be reading something else's memory.
  if (decoder.embed_positions.empty() || decoder.max_position_embeddings <= 0) return;
  FARTHING_REQUIRE(length + max_tokens <= decoder.max_position_embeddings, Code::kInvalidArgument,
                   "prompt and answer do not fit the model's positions",
                   {{"prompt_tokens", length},
                    {"max_tokens", max_tokens},
                    {"max_position_embeddings", decoder.max_position_embeddings}},
                   "shorten the prompt or lower --max-tokens");
}

// The last row of each sequence.
Tensor last_rows(const Tensor& hidden, const nn::Batch& batch) {
  const std::int64_t width = hidden.dim(1);
  Tensor result = Tensor::empty(DType::kF32, {static_cast<std::int64_t>(batch.lengths.size()), width});
  std::int64_t row = 0;
  for (std::size_t i = 0; i < batch.lengths.size(); ++i) {
    row += batch.lengths[i];
    std::memcpy(result.mutable_data<float>() + static_cast<std::int64_t>(i) * width,
                hidden.data<float>() + (row - 1) * width, width * sizeof(float));
  }
  return result;
}

// One pass over the next rows of the given sequences; returns logits [sequences, V].
Tensor step(models::Model& model, const Tensor& hidden, const nn::Batch& batch, ThreadPool& pool) {
  return model.logits(last_rows(model.forward(hidden, batch, pool), batch), pool);
}

Tensor concatenate_rows(const std::vector<Tensor>& parts) {
  if (parts.size() == 1) return parts.front();
  std::int64_t rows = 0;
  for (const Tensor& part : parts) rows += part.dim(0);
  Tensor result = Tensor::empty(DType::kF32, {rows, parts.front().dim(1)});
  std::byte* out = result.mutable_bytes().data();
  for (const Tensor& part : parts) out = std::copy(part.bytes().begin(), part.bytes().end(), out);
  return result;
}

struct Sequence {
  std::size_t index;
  nn::SequenceCache cache;
  Sampler sampler;
  std::vector<std::int32_t> history;  // prompt and answer
};

// The rows that the sequences feed into the next step.
struct NextRows {
  std::vector<std::int32_t> ids;
  std::vector<std::int64_t> indices;  // of the tokens in their sequences
  nn::Batch batch;

  // One row, the newest token; or all of them again where the keys in the cache no longer hold (longrope past
  // its original length).
  void add(const models::Model& model, Sequence& sequence) {
    const auto total = static_cast<std::int64_t>(sequence.history.size());
    std::int64_t from = sequence.cache.length();
    if (!model.cache_stays_valid(from, total)) {
      sequence.cache = model.new_cache();
      from = 0;
    }
    ids.insert(ids.end(), sequence.history.begin() + from, sequence.history.end());
    for (std::int64_t t = from; t < total; ++t) indices.push_back(t);
    batch.add(nn::Sequence::after(sequence.cache, total - from, model.spec().decoder.position_axes()),
              &sequence.cache);
  }
};

}  // namespace

std::string_view finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
  }
  return "length";
}

std::vector<Generation> generate(models::Model& model, std::span<const models::Prompt> prompts,
                                 const GenerationOptions& options, ThreadPool& pool,
                                 const CancelToken& cancel, const TokenSink& sink, GenerationTimes* times) {
  std::vector<Generation> results(prompts.size());
  if (prompts.empty()) return results;
  std::vector<std::unique_ptr<Sequence>> active;
  std::vector<Tensor> embedded;
  nn::Batch batch;
  const auto start = Clock::now();
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    check_room(model.spec().decoder, prompts[i], options.max_tokens);
    models::Prepared prepared = model.prepare(prompts[i].ids, prompts[i].pictures, pool);
    embedded.push_back(std::move(prepared.hidden));
    SamplingOptions sampling = options.sampling;
    sampling.seed += i;
    active.push_back(
        std::make_unique<Sequence>(Sequence{i, model.new_cache(), Sampler(sampling), prompts[i].ids}));
    batch.add(prepared.sequences.front(), &active.back()->cache);
  }

  Tensor hidden = concatenate_rows(embedded);
  embedded.clear();
  bool is_prefill = true;
  Clock::time_point decode_start = start;
  GenerationTimes measured;
  while (!active.empty()) {
    const Tensor logits = step(model, hidden, batch, pool);
    const std::int64_t vocabulary = logits.dim(1);

    std::vector<std::unique_ptr<Sequence>> still_active;
    NextRows next;
    for (std::size_t s = 0; s < active.size(); ++s) {
      Sequence& sequence = *active[s];
      Generation& result = results[sequence.index];
      if (is_prefill)
        result.first_logits = logits.rows(static_cast<std::int64_t>(s), static_cast<std::int64_t>(s) + 1)
                                  .reshape({vocabulary})
                                  .clone();
      if (static_cast<std::int64_t>(result.ids.size()) >= options.max_tokens) continue;
      const std::int32_t id =
          sequence.sampler.pick({logits.data<float>() + static_cast<std::int64_t>(s) * vocabulary,
                                 static_cast<std::size_t>(vocabulary)},
                                sequence.history);
      result.ids.push_back(id);
      if (!is_prefill) ++measured.decoded_tokens;
      sequence.history.push_back(id);
      const auto& ends = options.end_of_sequence_ids;
      const bool wants_more = !sink || sink(sequence.index, id);
      if (!wants_more || std::find(ends.begin(), ends.end(), id) != ends.end()) {
        result.reason = FinishReason::kStop;
      } else if (static_cast<std::int64_t>(result.ids.size()) >= options.max_tokens) {
        result.reason = FinishReason::kLength;
      } else if (cancel.requested()) {
        result.reason = FinishReason::kCancelled;
      } else {
        next.add(model, sequence);
        still_active.push_back(std::move(active[s]));
        continue;
      }
      measured.cache_bytes += sequence.cache.num_bytes();
    }
    if (is_prefill) {
      measured.prefill_seconds = seconds_since(start);
      decode_start = Clock::now();
      is_prefill = false;
    }
    active = std::move(still_active);
    if (active.empty()) break;
    hidden = model.embed(next.ids, next.indices, pool);
    batch = std::move(next.batch);
  }
  measured.decode_seconds = seconds_since(decode_start);
  if (times != nullptr) *times = measured;
  return results;
}

std::int32_t most_likely_next(models::Model& model, const models::Prompt& prompt,
                              std::span<const std::int32_t> candidates, ThreadPool& pool) {
  const Tensor logits = prompt_logits(model, prompt, pool);
  const std::int64_t vocabulary = logits.dim(1);
  const float* last = logits.data<float>() + (logits.dim(0) - 1) * vocabulary;
  std::int32_t best = -1;
  for (const std::int32_t id : candidates) {
    FARTHING_REQUIRE(id >= 0 && id < vocabulary, Code::kInvalidArgument,
                     "a token id is outside the vocabulary", {{"id", id}, {"vocab_size", vocabulary}});
    if (best < 0 || last[id] > last[best]) best = id;
  }
  FARTHING_CHECK(best >= 0, "no candidates");
  return best;
}

Tensor prompt_logits(models::Model& model, const models::Prompt& prompt, ThreadPool& pool) {
  const models::Prepared prepared = model.prepare(prompt.ids, prompt.pictures, pool);
  return model.logits(model.forward(prepared.hidden, prepared.batch(), pool), pool);
}

}  // namespace farthing::generate
