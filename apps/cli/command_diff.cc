// farthing diff: how far apart the weights of two checkpoints are.
#include "checkpoint/checkpoint.h"
#include "cli/commands.h"
#include "evaluate/diff.h"
#include "report/table.h"

namespace farthing::cli {
namespace {

struct DiffOptions {
  std::string a, b;
  std::string tensors;
};

std::string table_of(const evaluate::Differences& differences) {
  report::Table table({"weight", "relative error", "sqnr dB", "largest"});
  std::size_t same = 0;
  for (const evaluate::WeightDifference& row : differences.rows) {
    if (row.max_abs == 0) {
      ++same;
      continue;
    }
    table.add({row.name, fmt::format("{:.6f}", row.relative_error), fmt::format("{:.1f}", row.sqnr_db),
               fmt::format("{:.3g}", row.max_abs)});
  }
  std::string text = same < differences.rows.size() ? table.markdown() : "";
  text += fmt::format("{} of {} weights are the same\n", same, differences.rows.size());
  if (!differences.only_in_a.empty())
    text += fmt::format("only in A: {}\n", fmt::join(differences.only_in_a, ", "));
  if (!differences.only_in_b.empty())
    text += fmt::format("only in B: {}\n", fmt::join(differences.only_in_b, ", "));
  return text;
}

int run_diff(App& app, const DiffOptions& options) {
  const evaluate::Differences differences =
      evaluate::diff(checkpoint::find_model(options.a), checkpoint::find_model(options.b), options.tensors,
                     app.threads(), app.cancel());
  if (!app.json()) {
    app.write(table_of(differences));
    return kDone;
  }
  Json document = {
      {"rows", Json::array()}, {"only_in_a", differences.only_in_a}, {"only_in_b", differences.only_in_b}};
  for (const evaluate::WeightDifference& row : differences.rows) {
    document["rows"].push_back({{"name", row.name},
                                {"relative_error", row.relative_error},
                                {"sqnr_db", row.sqnr_db},
                                {"max_abs", row.max_abs}});
  }
  app.write_json(document);
  return kDone;
}

}  // namespace

void add_diff(App& app) {
  auto options = std::make_shared<DiffOptions>();
  app.command("diff", "how far apart the weights of two checkpoints are, in any formats")
      .example("farthing diff ./model ./model-W4A16")
      .positional("A", options->a, "model folder, or org/name in the Hugging Face cache")
      .positional("B", options->b, "another one of the same family")
      .option("--tensors", "REGEX", options->tensors, "compare only weights whose names contain this")
      .body([&app, options] { return run_diff(app, *options); });
}

}  // namespace farthing::cli
