// The stage that frames the ids of a text with special tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "base/json.h"

namespace farthing::tokenizer {

struct PostProcessor {
  std::vector<std::int32_t> before;
  std::vector<std::int32_t> after;
};

/// Builds what a "post_processor" object of tokenizer.json describes for a single text; nothing added for
/// JSON null. Throws kUnsupported for an unknown type and for templates that do not have the text exactly
/// once, kCorruptData for missing or wrong fields.
PostProcessor make_post_processor(const Json& description);

}  // namespace farthing::tokenizer
