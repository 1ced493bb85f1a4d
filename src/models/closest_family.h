// Which known family a checkpoint of an unknown one is most like.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "models/family.h"

namespace farthing::models {

struct ClosestFamily {
  std::string model_type;
  std::size_t explained = 0;             // tensors that it would have under the same name and shape
  std::vector<std::string> unexplained;  // the other ones of the file
};

/// Declares every built-in family from `config` and compares tensors. Nothing where no tensor fits any.
std::optional<ClosestFamily> closest_family(const Config& config, const checkpoint::Checkpoint& checkpoint);

}  // namespace farthing::models
