// What a declaration says about linears and tensors.
#include "models/family.h"
#include "models/walk.h"

namespace farthing::models {
namespace {

class LinearLister : public SpecVisitor {
 public:
  void linear(const nn::LinearSpec& spec, const std::string& path, const std::string& input_group,
              const Place& place) override {
    linears.push_back({.path = path,
                       .class_name = spec.transposed ? "Conv1D" : "Linear",
                       .role = place.role,
                       .block = place.block,
                       .audio_block = place.audio_block,
                       .in_features = spec.in_features,
                       .out_features = spec.out_features,
                       .input_group = input_group,
                       .parents = place.parents});
  }
  void norm(const nn::NormSpec&, const std::string&, const Shape&) override {}
  void table(const std::string&, const Shape&) override {}
  void parameter(const std::string&, const Shape&) override {}

  std::vector<ModuleInfo> linears;
};

class TensorLister : public SpecVisitor {
 public:
  TensorLister(const nn::ModelSpec& spec, const std::function<void(const DeclaredTensor&)>& visit)
      : tied_head_(spec.decoder.tie_word_embeddings ? spec.decoder.lm_head : ""), visit_(visit) {}

  void linear(const nn::LinearSpec& spec, const std::string& path, const std::string&,
              const Place&) override {
    Shape shape = {spec.out_features, spec.in_features};
    if (spec.transposed) shape = {spec.in_features, spec.out_features};
    if (path != tied_head_) visit_({path + ".weight", shape, path});
    if (spec.bias) visit_({path + ".bias", {spec.out_features}, ""});
  }
  void norm(const nn::NormSpec& spec, const std::string& path, const Shape& shape) override {
    if (spec.weight) visit_({path + ".weight", shape, ""});
    if (spec.bias) visit_({path + ".bias", shape, ""});
  }
  void table(const std::string& path, const Shape& shape) override {
    visit_({path + ".weight", shape, path});
  }
  void parameter(const std::string& name, const Shape& shape) override { visit_({name, shape, ""}); }

 private:
  std::string tied_head_;
  const std::function<void(const DeclaredTensor&)>& visit_;
};

}  // namespace

std::string_view role_name(Role role) {
  switch (role) {
    case Role::kText:
      return "text";
    case Role::kVision:
      return "vision";
    case Role::kAudio:
      return "audio";
    case Role::kProjector:
      return "projector";
    case Role::kHead:
      return "head";
  }
  return "";
}

std::vector<ModuleInfo> linears_of(const nn::ModelSpec& spec) {
  LinearLister lister;
  walk(spec, lister);
  return std::move(lister.linears);
}

void for_each_tensor(const nn::ModelSpec& spec, const std::function<void(const DeclaredTensor&)>& visit) {
  TensorLister lister(spec, visit);
  walk(spec, lister);
}

}  // namespace farthing::models
