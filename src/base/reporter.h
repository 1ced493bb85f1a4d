// How the library speaks without printing: whoever starts long work passes a listener.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace farthing {

/// Where the work stands. What is shown of it is redrawn in place.
struct Progress {
  std::string stage;       // "quantize", "perplexity"
  double fraction = 0;     // done of the whole run, 0 to 1
  std::int64_t done = 0;   // steps finished ...
  std::int64_t total = 0;  // ... of so many
  std::string detail;      // "block 16  mlp.down_proj"
};

/// Where long work tells what it does. This one is silent. Never called concurrently.
class Reporter {
 public:
  virtual ~Reporter() = default;

  /// One line worth keeping, such as the plan or the calibration ledger.
  virtual void note(std::string_view line);

  /// Something the user should know and may want to change.
  virtual void warn(std::string_view line);

  /// Redrawn in place on a terminal.
  virtual void progress(const Progress& progress);

  /// One finished row of a longer run, such as a block.
  virtual void finished(std::string_view line);
};

}  // namespace farthing
