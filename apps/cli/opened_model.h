// The MODEL argument of commands that compute with a model, opened.
#pragma once

#include <filesystem>
#include <string>

#include "cli/app.h"
#include "models/model.h"
#include "models/prompt.h"

namespace farthing::cli {

struct OpenedModel {
  std::filesystem::path path;  // a folder or a weight file
  std::string name;            // last part of the path, for tables
  models::Model model;

  models::PromptProcessor prompts() const;
};

/// Finds and opens the model: headers only. Throws kUnsupported for a --device that is not there.
OpenedModel open_model(App& app, const std::string& argument,
                       models::WeightForm form = models::WeightForm::kAsStored);

/// The same with weights quantized while they are loaded: `load_in` is "4bit", "8bit", or empty.
OpenedModel open_model(App& app, const std::string& argument, const std::string& load_in);

}  // namespace farthing::cli
