// One walk over a declaration, in computing order, from which lists of modules and tensors are made.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "models/family.h"

namespace farthing::models {

/// Where a module stands.
struct Place {
  Role role = Role::kText;
  std::int64_t block = -1, audio_block = -1;
  std::vector<std::pair<std::string, std::string>> parents;  // (path, class name), outermost first
};

class SpecVisitor {
 public:
  virtual ~SpecVisitor() = default;
  /// `input_group`: path of the first linear that reads the same input.
  virtual void linear(const nn::LinearSpec& spec, const std::string& path, const std::string& input_group,
                      const Place& place) = 0;
  /// The tensors PATH.weight and PATH.bias of a norm, with their shape.
  virtual void norm(const nn::NormSpec& spec, const std::string& path, const Shape& shape) = 0;
  /// A lookup table PATH.weight.
  virtual void table(const std::string& path, const Shape& shape) = 0;
  /// A parameter of another kind.
  virtual void parameter(const std::string& name, const Shape& shape) = 0;
};

/// Vision tower, projector, embedding, blocks, final norm, head (also when it is tied).
void walk(const nn::ModelSpec& spec, SpecVisitor& visitor);

}  // namespace farthing::models
