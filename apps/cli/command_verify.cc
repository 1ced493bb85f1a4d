// farthing verify: would this consumer load this folder?
#include "checkpoint/checkpoint.h"
#include "cli/commands.h"
#include "evaluate/verify.h"

namespace farthing::cli {
namespace {

struct VerifyOptions {
  std::string model;
  std::string consumer;
};

int run_verify(App& app, const VerifyOptions& options) {
  const auto problems = evaluate::verify(checkpoint::find_model(options.model), options.consumer);
  if (app.json()) {
    Json document = {{"ok", problems.empty()}, {"problems", Json::array()}};
    for (const auto& problem : problems)
      document["problems"].push_back({{"where", problem.where}, {"what", problem.what}});
    app.write_json(document);
  } else if (problems.empty()) {
    app.write(options.consumer.empty() ? "ok\n" : fmt::format("ok for {}\n", options.consumer));
  } else {
    for (const auto& problem : problems) app.write(fmt::format("{}: {}\n", problem.where, problem.what));
  }
  return problems.empty() ? kDone : kVerificationFailed;
}

}  // namespace

void add_verify(App& app) {
  auto options = std::make_shared<VerifyOptions>();
  const auto names = evaluate::consumer_names();
  app.command("verify", "check that a folder is whole and that a consumer would load it")
      .example("farthing verify ./model-W4A16 --for vllm")
      .positional("MODEL", options->model, "model folder, or org/name in the Hugging Face cache")
      .option("--for", "NAME", read_choice(options->consumer, {names.begin(), names.end()}),
              fmt::format("one of {}", fmt::join(names, ", ")))
      .body([&app, options] { return run_verify(app, *options); });
}

}  // namespace farthing::cli
