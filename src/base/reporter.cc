#include "base/reporter.h"

namespace farthing {

void Reporter::note(std::string_view) {}
void Reporter::warn(std::string_view) {}
void Reporter::progress(const Progress&) {}
void Reporter::finished(std::string_view) {}

}  // namespace farthing
