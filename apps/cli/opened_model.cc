#include "cli/opened_model.h"

#include "kernels/device.h"
#include "models/load_in.h"

namespace farthing::cli {

models::PromptProcessor OpenedModel::prompts() const {
  return models::PromptProcessor::open(path, std::make_shared<const nn::ModelSpec>(model.spec()));
}

OpenedModel open_model(App& app, const std::string& argument, models::WeightForm form) {
  kernels::parse_device(app.device());
  const std::filesystem::path found = checkpoint::find_model(argument);
  const std::filesystem::path plain = std::filesystem::weakly_canonical(found);
  return {.path = found,
          .name = argument.find("/snapshots/") == std::string::npos ? plain.filename().string() : argument,
          .model = models::Model::open(found, form)};
}

OpenedModel open_model(App& app, const std::string& argument, const std::string& load_in) {
  OpenedModel opened = open_model(app, argument);
  if (!load_in.empty()) opened.model = models::load_in(opened.model, load_in, app.threads());
  return opened;
}

}  // namespace farthing::cli
