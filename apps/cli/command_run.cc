// farthing run: one question, one answer, about a text or a picture.
#include <iostream>
#include <iterator>

#include <unistd.h>

#include "base/system.h"
#include "base/units.h"
#include "checkpoint/writer.h"
#include "cli/commands.h"
#include "cli/opened_model.h"
#include "generate/engine.h"

namespace farthing::cli {
namespace {

struct RunOptions {
  std::string model;
  std::string load_in;  // "4bit", "8bit", or as stored
  std::optional<std::string> prompt;
  std::vector<std::filesystem::path> images, sounds;
  std::string system;
  std::int64_t max_tokens = 256;
  generate::SamplingOptions sampling;
  std::int64_t seed = 0;
  bool raw = false, stats = false, ids = false;
  std::optional<std::filesystem::path> logits;
};

std::string read_prompt(const RunOptions& options, const std::string& default_prompt) {
  if (options.prompt) return *options.prompt;
  if (!default_prompt.empty()) return default_prompt;
  FARTHING_REQUIRE(!::isatty(STDIN_FILENO), Code::kInvalidArgument, "no prompt", {},
                   "farthing run MODEL \"your question\", or pipe a text in");
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

Json chat_of(const RunOptions& options, const std::string& prompt) {
  Json content = prompt;
  if (!options.images.empty() || !options.sounds.empty()) {
    content = Json::array();
    for (std::size_t i = 0; i < options.images.size(); ++i) content.push_back({{"type", "image"}});
    for (std::size_t i = 0; i < options.sounds.size(); ++i) content.push_back({{"type", "audio"}});
    content.push_back({{"type", "text"}, {"text", prompt}});
  }
  Json messages = Json::array();
  if (!options.system.empty()) messages.push_back({{"role", "system"}, {"content", options.system}});
  messages.push_back({{"role", "user"}, {"content", content}});
  return messages;
}

void write_logits(models::Model& model, const models::Prompt& prompt, const std::filesystem::path& file,
                  ThreadPool& pool) {
  const Tensor logits = generate::prompt_logits(model, prompt, pool);
  Tensor ids = Tensor::empty(DType::kI64, {1, static_cast<std::int64_t>(prompt.ids.size())});
  std::copy(prompt.ids.begin(), prompt.ids.end(), ids.mutable_data<std::int64_t>());
  std::vector<std::pair<std::string, Tensor>> tensors = {
      {"input_ids", ids}, {"logits", logits.reshape({1, logits.dim(0), logits.dim(1)})}};
  tensors.insert(tensors.end(), prompt.pictures.begin(), prompt.pictures.end());
  checkpoint::save_safetensors(file, tensors);
}

std::string stats_line(const OpenedModel& opened, const models::Prompt& prompt,
                       const generate::GenerationTimes& times) {
  return fmt::format(
      "{} prompt tokens at {:.1f} tokens/s, {} answer tokens at {:.1f} tokens/s, weights {}, KV cache {}, "
      "peak memory {}",
      prompt.ids.size(), static_cast<double>(prompt.ids.size()) / times.prefill_seconds,
      times.decoded_tokens + 1,
      times.decode_seconds > 0 ? static_cast<double>(times.decoded_tokens) / times.decode_seconds : 0.0,
      format_bytes(opened.model.num_bytes()), format_bytes(times.cache_bytes),
      format_bytes(peak_resident_bytes()));
}

std::vector<audio::Waveform> open_sounds(const RunOptions& options) {
  FARTHING_REQUIRE(options.images.empty(), Code::kInvalidArgument, "both --image and --audio given", {},
                   "give one of them");
  std::vector<audio::Waveform> sounds;
  for (const auto& file : options.sounds) sounds.push_back(audio::open(file));
  return sounds;
}

// A sound and nothing else: the answer begins as the model's files say, in the language that is heard.
models::Prompt speech_prompt(const RunOptions& options, const models::PromptProcessor& prompts,
                             models::Model& model, ThreadPool& pool) {
  const models::SpeechStart& start = *prompts.speech_start();
  models::Prompt prompt = prompts.encode_sounds("", open_sounds(options), false);
  prompt.ids = start.before;
  if (!start.languages.empty())
    prompt.ids.push_back(generate::most_likely_next(model, prompt, start.languages, pool));
  prompt.ids.insert(prompt.ids.end(), start.after.begin(), start.after.end());
  return prompt;
}

models::Prompt prepare_prompt(const RunOptions& options, const models::PromptProcessor& prompts,
                              const std::string& default_prompt) {
  const std::string text = read_prompt(options, default_prompt);
  if (!options.sounds.empty()) {
    const std::vector<audio::Waveform> sounds = open_sounds(options);
    const bool is_chat = !options.raw && default_prompt.empty();
    return prompts.encode_sounds(is_chat ? prompts.render(chat_of(options, text), true) : text, sounds, true);
  }
  std::vector<image::Image> pictures;
  for (const auto& file : options.images) pictures.push_back(image::open(file, prompts.decode_options()));
  return options.raw ? prompts.encode(text, pictures, true)
                     : prompts.encode_chat(chat_of(options, text), pictures, true);
}

int run_prompt(App& app, RunOptions& options) {
  OpenedModel opened = open_model(app, options.model, options.load_in);
  const models::PromptProcessor prompts = opened.prompts();
  const bool hears_only = !options.prompt && !options.sounds.empty() && prompts.speech_start();
  const models::Prompt prompt = hears_only
                                    ? speech_prompt(options, prompts, opened.model, app.threads())
                                    : prepare_prompt(options, prompts, opened.model.spec().default_prompt);
  if (options.logits) write_logits(opened.model, prompt, *options.logits, app.threads());

  options.sampling.seed = static_cast<std::uint64_t>(options.seed);
  options.sampling.suppressed = prompts.suppressed_ids();
  options.sampling.suppressed_first = prompts.suppressed_first_ids();
  const generate::GenerationOptions generation{.max_tokens = options.max_tokens,
                                               .sampling = options.sampling,
                                               .end_of_sequence_ids = prompts.end_of_sequence_ids()};
  const bool streams = !app.json() && !options.ids;
  tokenizer::StreamDecoder decoder(prompts.tokenizer());
  generate::GenerationTimes times;
  const auto answers = generate::generate(
      opened.model, std::span(&prompt, 1), generation, app.threads(), app.cancel(),
      [&](std::size_t, std::int32_t id) {
        if (streams) app.write(decoder.push(id));
        return true;
      },
      &times);
  const generate::Generation& answer = answers.front();
  if (app.json()) {
    app.write_json({{"text", prompts.tokenizer().decode(answer.ids)},
                    {"prompt_tokens", prompt.ids.size()},
                    {"ids", answer.ids},
                    {"finish_reason", generate::finish_reason_name(answer.reason)},
                    {"prefill_seconds", times.prefill_seconds},
                    {"decode_seconds", times.decode_seconds},
                    {"weights_bytes", opened.model.num_bytes()},
                    {"kv_cache_bytes", times.cache_bytes},
                    {"peak_bytes", peak_resident_bytes()}});
  } else if (options.ids) {
    app.write(fmt::format("{}\n", fmt::join(answer.ids, " ")));
  } else {
    app.write(decoder.finish() + "\n");
  }
  if (options.stats) app.reporter().note(stats_line(opened, prompt, times));
  if (answer.reason == generate::FinishReason::kCancelled) app.cancel().check();
  return kDone;
}

}  // namespace

void add_run(App& app) {
  auto options = std::make_shared<RunOptions>();
  app.command("run", "answer one question, also about a picture")
      .example("farthing run ./model \"Why is the sky blue?\"")
      .example("farthing run ./llava --image kitten.jpg \"What animal is this?\"")
      .example("farthing run ./whisper --audio talk.wav")
      .example("cat letter.txt | farthing run ./model --max-tokens 100")
      .positional("MODEL", options->model, "model folder, or org/name in the Hugging Face cache")
      .positional("PROMPT", options->prompt, "the question; read from standard input when absent",
                  Command::Presence::kOptional)
      .option("--image", "FILE", options->images, "a picture to ask about; repeatable")
      .option("--audio", "FILE", options->sounds, "a WAV file to write down or ask about; repeatable")
      .option("--system", "TEXT", options->system, "system message")
      .option("--max-tokens", "N", options->max_tokens, "most tokens of the answer (256)")
      .option("--load-in", "FORM", read_choice(options->load_in, {"4bit", "8bit"}),
              "quantize plain weights while loading: 4bit (NF4) or 8bit (LLM.int8)")
      .group("sampling")
      .option("--temperature", "T", options->sampling.temperature, "0 is greedy, the default")
      .option("--top-p", "P", options->sampling.top_p,
              "keep the likeliest tokens that together have this probability")
      .option("--top-k", "K", options->sampling.top_k, "keep the K likeliest tokens")
      .option("--min-p", "P", options->sampling.min_p,
              "keep tokens at least this likely, relative to the likeliest")
      .option("--repetition-penalty", "R", options->sampling.repetition_penalty,
              "above 1 makes repeating less likely")
      .option("--seed", "N", options->seed, "the same seed gives the same answer")
      .group("for programs")
      .flag("--raw", options->raw, "no chat template: the prompt goes through the tokenizer as it is")
      .flag("--stats", options->stats, "speed and memory, on stderr")
      .flag("--ids", options->ids, "print token ids instead of text")
      .option("--logits", "FILE", options->logits,
              "write the prompt's ids, logits and picture tensors as safetensors")
      .body([&app, options] { return run_prompt(app, *options); });
}

}  // namespace farthing::cli
