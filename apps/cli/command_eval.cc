// farthing eval: perplexity, accuracy on labelled pictures, and the distance to a base model.
#include "base/file.h"
#include "cli/commands.h"
#include "cli/opened_model.h"
#include "evaluate/labelled_images.h"
#include "evaluate/perplexity.h"

namespace farthing::cli {
namespace {

struct EvalOptions {
  std::string model;
  std::string load_in;  // "4bit", "8bit", or as stored
  std::optional<std::filesystem::path> perplexity, labelled_images;
  std::optional<std::string> base;
  std::string question = "What animal is this?", system;
  std::int64_t window = 2048, limit = 0, max_tokens = 24;
};

void add_divergence(Json& document, const evaluate::Divergence& divergence) {
  document["kl_mean"] = divergence.kl_mean;
  document["kl_p99"] = divergence.kl_p99;
  document["top1_agreement"] = divergence.top1_agreement;
}

std::string divergence_text(const evaluate::Divergence& divergence) {
  return fmt::format("  KL to base     mean {:.3g}, p99 {:.3g} nats; same top token {:.2f} % of {}\n",
                     divergence.kl_mean, divergence.kl_p99, 100 * divergence.top1_agreement,
                     divergence.count);
}

int run_eval(App& app, const EvalOptions& options) {
  FARTHING_REQUIRE(options.perplexity || options.labelled_images, Code::kInvalidArgument,
                   "nothing to evaluate on", {}, "add --perplexity FILE.txt or --labelled-images DIR");
  OpenedModel opened = open_model(app, options.model, options.load_in);
  std::optional<OpenedModel> base;
  if (options.base) base = open_model(app, *options.base);
  const models::PromptProcessor prompts = opened.prompts();
  Json document = {{"model", opened.name}};
  std::string text = opened.name + "\n";

  if (options.perplexity) {
    const std::vector<std::int32_t> ids = prompts.tokenizer().encode(read_text(*options.perplexity));
    const evaluate::Perplexity result = evaluate::measure_perplexity(
        opened.model, base ? &base->model : nullptr, ids, {.window = options.window, .limit = options.limit},
        app.threads(), app.reporter(), app.cancel());
    document["perplexity"] = result.perplexity;
    document["nll"] = result.nll;
    document["tokens"] = result.tokens;
    document["window"] = result.window;
    document["window_nll"] = result.window_nll;
    text += fmt::format("  perplexity     {:.4f} over {} tokens in windows of {}\n", result.perplexity,
                        result.tokens, result.window);
    if (result.divergence) {
      add_divergence(document, *result.divergence);
      text += divergence_text(*result.divergence);
    }
  }
  if (options.labelled_images) {
    const auto images = evaluate::read_labelled_images(*options.labelled_images);
    const evaluate::Accuracy result =
        evaluate::measure_accuracy(opened.model, base ? &base->model : nullptr, prompts, images,
                                   models::picture_question(options.question, options.system),
                                   options.max_tokens, app.threads(), app.reporter(), app.cancel());
    document["accuracy"] = result.accuracy;
    document["count"] = result.count;
    text += fmt::format("  accuracy       {:.4f} ({} of {} pictures)\n", result.accuracy, result.right,
                        result.count);
    if (result.first_token) {
      document["first_token_kl_mean"] = result.first_token->kl_mean;
      document["first_token_kl_p99"] = result.first_token->kl_p99;
      document["first_token_top1_agreement"] = result.first_token->top1_agreement;
      document["same_answer"] = result.same_answer;
      if (!options.perplexity) add_divergence(document, *result.first_token);
      text += divergence_text(*result.first_token);
      text += fmt::format("  same answer    {:.4f} of the base's\n", result.same_answer);
    }
  }
  if (app.json())
    app.write_json(document);
  else
    app.write(text);
  return kDone;
}

}  // namespace

void add_eval(App& app) {
  auto options = std::make_shared<EvalOptions>();
  app.command("eval", "perplexity, accuracy, and the distance to the original")
      .example("farthing eval ./model-W4A16 --base ./model --perplexity wiki.test.txt")
      .example(
          "farthing eval ./llava-W4A16 --base ./llava --labelled-images ./animals --question \"What animal "
          "is this?\"")
      .positional("MODEL", options->model, "model folder, or org/name in the Hugging Face cache")
      .option("--load-in", "FORM", read_choice(options->load_in, {"4bit", "8bit"}),
              "quantize plain weights while loading: 4bit (NF4) or 8bit (LLM.int8)")
      .option("--perplexity", "FILE", options->perplexity,
              "score this text: windows without overlap, all but the first token of each (GPTQ paper)")
      .option("--window", "N", options->window, "tokens of a window (2048)")
      .option("--limit", "N", options->limit, "score only the first N windows")
      .option("--base", "MODEL", options->base,
              "also measure the KL divergence from this model, and how often the top token is the same")
      .option("--labelled-images", "DIR", options->labelled_images,
              "ask about each picture LABEL-NUMBER.jpg; right when the answer has the label as a word")
      .option("--question", "TEXT", options->question, "what to ask about each picture")
      .option("--system", "TEXT", options->system, "system message before the question")
      .option("--max-tokens", "N", options->max_tokens, "most tokens of an answer (24)")
      .body([&app, options] { return run_eval(app, *options); });
}

}  // namespace farthing::cli
