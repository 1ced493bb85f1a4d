#include "cli/app.h"
#include "cli/commands.h"

int main(int argc, char** argv) {
  using namespace farthing::cli;
  App app;
  // In the order of the overview.
  add_quantize(app);
  add_run(app);
  add_chat(app);
  add_eval(app);
  add_bench(app);
  add_convert(app);
  add_diff(app);
  add_verify(app);
  add_forward(app);
  add_inspect(app);
  add_estimate(app);
  add_tokenize(app);
  add_template(app);
  add_doctor(app);
  return app.run(argc, argv);
}
