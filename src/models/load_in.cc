#include "models/load_in.h"

#include "base/error.h"
#include "methods/rtn.h"
#include "scheme/scheme.h"

namespace farthing::models {
namespace {

// The model's weights, quantized as they are asked for.
class LoadInSource : public nn::WeightSource {
 public:
  LoadInSource(const Model& model, const scheme::QuantizationArgs& args, ThreadPool& pool)
      : model_(model), args_(args), pool_(pool) {}

  bool has(std::string_view tensor) const override { return below().has(tensor); }
  Tensor tensor(std::string_view name) const override { return below().tensor(name); }

  std::variant<Tensor, QuantizedMatrix> linear_weight(std::string_view module) const override {
    std::variant<Tensor, QuantizedMatrix> weight = below().linear_weight(module);
    const Tensor* plain = std::get_if<Tensor>(&weight);
    if (plain == nullptr || module == model_.spec().decoder.lm_head) return weight;
    const DType dtype = plain->dtype();
    const bool kept = dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16;
    try {
      return methods::rtn(kept ? *plain : to_float32(*plain), args_, {.model_dtype = dtype}, pool_);
    } catch (const Error& error) {
      if (error.code() != Code::kNumeric) throw;
      throw Error(Code::kCorruptData, error.message(), {{"module", module}},
                  "the checkpoint itself is damaged there; fetch it again");
    }
  }

  std::optional<scheme::ActivationQuantization> activation(std::string_view module,
                                                           scheme::ActivationSite site) const override {
    return below().activation(module, site);
  }
  void release(std::string_view prefix) const override { below().release(prefix); }

 private:
  const nn::WeightSource& below() const { return model_.source(); }

  Model model_;  // nothing of it is loaded: it owns the source below
  scheme::QuantizationArgs args_;
  ThreadPool& pool_;
};

}  // namespace

Model load_in(const Model& model, std::string_view form, ThreadPool& pool) {
  FARTHING_REQUIRE(form == "4bit" || form == "8bit", Code::kInvalidArgument,
                   "weights cannot be loaded in this form", {{"load-in", form}}, "use 4bit or 8bit");
  const scheme::Scheme scheme = scheme::preset(form == "4bit" ? "NF4" : "LLM_INT8");
  return Model(model.spec(), std::make_shared<const LoadInSource>(model, *scheme.weights, pool));
}

}  // namespace farthing::models
