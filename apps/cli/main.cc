#include "cli/app.h"
#include "cli/commands.h"

int main(int argc, char** argv) {
  namespace cli = farthing::cli;
  cli::App app;
  // In the order of the overview.
  cli::add_quantize(app);
  cli::add_run(app);
  cli::add_chat(app);
  cli::add_eval(app);
  cli::add_bench(app);
  cli::add_convert(app);
  cli::add_diff(app);
  cli::add_verify(app);
  cli::add_forward(app);
  cli::add_inspect(app);
  cli::add_estimate(app);
  cli::add_tokenize(app);
  cli::add_template(app);
  cli::add_families(app);
  cli::add_schemes(app);
  cli::add_doctor(app);
  return app.run(argc, argv);
}
