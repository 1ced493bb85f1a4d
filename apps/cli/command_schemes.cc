// farthing schemes: what works together of schemes, methods, formats and consumers; docs/schemes.md is made
// from it.
#include <fmt/ranges.h>

#include "cli/commands.h"
#include "evaluate/support_table.h"
#include "report/table.h"

namespace farthing::cli {
namespace {

using evaluate::SchemeSupport;

Json document_of(const SchemeSupport& row) {
  Json formats = Json::object();
  for (const evaluate::FormatSupport& format : row.formats)
    formats[std::string(format.format)] = format.consumers;
  return {{"scheme", row.scheme}, {"methods", row.methods}, {"formats", std::move(formats)}};
}

int schemes(App& app) {
  const std::vector<SchemeSupport> rows = evaluate::support_table();
  if (app.json()) {
    Json document = {{"schemes", Json::array()}};
    for (const SchemeSupport& row : rows) document["schemes"].push_back(document_of(row));
    app.write_json(document);
    return kDone;
  }
  report::Table table({"scheme", "methods", "format", "loads in"});
  for (const SchemeSupport& row : rows) {
    bool first = true;
    for (const evaluate::FormatSupport& format : row.formats) {
      table.add({first ? std::string(row.scheme) : "",
                 first ? fmt::format("{}", fmt::join(row.methods, ", ")) : "", std::string(format.format),
                 fmt::format("{}", fmt::join(format.consumers, ", "))});
      first = false;
    }
  }
  app.write(table.markdown());
  return kDone;
}

}  // namespace

void add_schemes(App& app) {
  app.command("schemes", "the schemes, the methods and formats for each, and who loads the result")
      .example("farthing schemes")
      .example("farthing schemes --json")
      .body([&app] { return schemes(app); });
}

}  // namespace farthing::cli
