#include "base/cancel.h"

#include <csignal>

#include "base/error.h"

namespace farthing {

void CancelToken::check() const {
  FARTHING_REQUIRE(!requested(), Code::kCancelled,
                   exit_code() == 128 + SIGTERM ? "terminated before the work was done"
                                                : "interrupted before the work was done");
}

}  // namespace farthing
