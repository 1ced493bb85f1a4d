// Collators turn records into samples: which words surround a question, where pictures stand, what is cut.
// The general one follows the model's own chat template; families that need something else have one of their
// own, chosen by name in a recipe.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "calibrate/record.h"
#include "models/prompt.h"

namespace farthing::calibrate {

/// One calibration sequence as the model reads it.
struct Sample {
  std::string origin;
  models::Prompt prompt;
};

struct CollatorOptions {
  std::int64_t sequence_length =
      2048;  // longer texts are cut into several samples; longer prompts with pictures are rejected
  bool add_generation_prompt = true;  // when the chat ends with the user
};

/// Turns one record into a sample. Throws Error with the reason when the record cannot be used (a picture
/// that is not one, more placeholders than pictures, too long); the ledger keeps it.
using Collate = Sample (*)(const Record& record, const models::PromptProcessor& processor,
                           const CollatorOptions& options);

struct Collator {
  std::string_view name;
  std::string_view title;  // for people
  Collate collate;
};

/// All collators; the first is the general one.
std::span<const Collator> collators();

/// Throws kInvalidArgument with the list for an unknown name. An empty name picks the family's own, or the
/// general one.
const Collator& find_collator(std::string_view name, std::string_view family);

}  // namespace farthing::calibrate
