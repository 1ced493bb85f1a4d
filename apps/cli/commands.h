// The commands, one file each: add_NAME declares the command NAME and says what it does.
#pragma once

#include "cli/app.h"

namespace farthing::cli {

void add_quantize(App& app);
void add_run(App& app);
void add_chat(App& app);
void add_eval(App& app);
void add_bench(App& app);
void add_convert(App& app);
void add_diff(App& app);
void add_verify(App& app);
void add_forward(App& app);
void add_inspect(App& app);
void add_estimate(App& app);
void add_tokenize(App& app);
void add_template(App& app);
void add_families(App& app);
void add_schemes(App& app);
void add_doctor(App& app);

}  // namespace farthing::cli
