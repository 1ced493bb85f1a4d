// farthing families: the table of architectures that are known; docs/families.md is made from it.
#include "cli/commands.h"
#include "models/family.h"
#include "report/table.h"

namespace farthing::cli {
namespace {

int families(App& app) {
  if (app.json()) {
    Json document = {{"families", Json::array()}};
    for (const models::Family& family : models::families())
      document["families"].push_back({{"model_type", family.model_type},
                                      {"title", family.title},
                                      {"golden_case", family.golden_case()}});
    app.write_json(document);
    return kDone;
  }
  report::Table table({"model_type", "models", "golden case"});
  for (const models::Family& family : models::families())
    table.add({std::string(family.model_type), std::string(family.title), std::string(family.golden_case())});
  app.write(table.markdown());
  return kDone;
}

}  // namespace

void add_families(App& app) {
  app.command("families", "the architectures that are known, and the test that backs each")
      .example("farthing families")
      .body([&app] { return families(app); });
}

}  // namespace farthing::cli
