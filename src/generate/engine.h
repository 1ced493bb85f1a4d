// Prefill and decode: prompts go in, tokens come out one by one, for one prompt or several at once.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "generate/sampler.h"
#include "models/prompt.h"

namespace farthing::generate {

struct GenerationOptions {
  std::int64_t max_tokens = 256;
  SamplingOptions sampling;
  std::vector<std::int32_t> end_of_sequence_ids;
};

enum class FinishReason { kStop, kLength, kCancelled };
std::string_view finish_reason_name(FinishReason reason);  // "stop", "length", "cancelled"

struct Generation {
  std::vector<std::int32_t> ids;  // without the prompt; an end-of-sequence id that stopped it is included
  FinishReason reason = FinishReason::kLength;
  Tensor first_logits;  // [V] at the last prompt position: what the first token was picked from
};

struct GenerationTimes {
  double prefill_seconds = 0;  // all prompts together, until the first tokens are known
  double decode_seconds = 0;
  std::int64_t decoded_tokens = 0;  // after the first one of each prompt
  std::size_t cache_bytes = 0;
};

/// Called with (prompt index, id) for every token as it is known. Returning false ends that prompt.
using TokenSink = std::function<bool(std::size_t, std::int32_t)>;

/// Generates for all prompts at once. Throws kInvalidArgument when a prompt leaves no room in the model's
/// positions (learned ones end there; rotary ones may go on). A cancelled token ends all prompts with
/// kCancelled and what they have.
std::vector<Generation> generate(models::Model& model, std::span<const models::Prompt> prompts,
                                 const GenerationOptions& options, ThreadPool& pool,
                                 const CancelToken& cancel, const TokenSink& sink = {},
                                 GenerationTimes* times = nullptr);

/// The most likely of `candidates` to follow one prompt, the first where several are. Throws
/// kInvalidArgument for ids outside the vocabulary.
std::int32_t most_likely_next(models::Model& model, const models::Prompt& prompt,
                              std::span<const std::int32_t> candidates, ThreadPool& pool);

/// Logits of every position of one prompt, [T, V].
Tensor prompt_logits(models::Model& model, const models::Prompt& prompt, ThreadPool& pool);

}  // namespace farthing::generate
