#include "nn/linear.h"

#include "nn/norm.h"

namespace farthing::nn {
namespace {

kernels::PackedWeight pack(const std::string& path, const Tensor& weight) {
  FARTHING_REQUIRE(weight.rank() == 2, Code::kCorruptData, "the weight of a linear layer is not a matrix",
                   {{"module", path}, {"shape", to_string(weight.shape())}});
  const bool kept =
      weight.dtype() == DType::kF32 || weight.dtype() == DType::kBF16 || weight.dtype() == DType::kF16;
  return kernels::pack_weight(kept ? weight : to_float32(weight));
}

kernels::PackedWeight load(const std::string& path, const WeightSource& source) {
  const std::variant<Tensor, QuantizedMatrix> weight = source.linear_weight(path);
  if (const auto* quantized = std::get_if<QuantizedMatrix>(&weight)) return kernels::pack_weight(*quantized);
  return pack(path, std::get<Tensor>(weight));
}

}  // namespace

Linear::Linear(const LinearSpec& spec, std::string path, const WeightSource& source)
    : path_(std::move(path)), weight_(load(path_, source)) {
  FARTHING_REQUIRE(weight_.rows == spec.out_features && weight_.columns == spec.in_features,
                   Code::kCorruptData, "a weight has another shape than config.json says",
                   {{"module", path_},
                    {"shape", to_string({weight_.rows, weight_.columns})},
                    {"expected", to_string({spec.out_features, spec.in_features})}});
  input_ = source.activation(path_, scheme::ActivationSite::kInput);
  output_ = source.activation(path_, scheme::ActivationSite::kOutput);
  if (spec.bias) bias_ = read_float32(source, path_ + ".bias", {spec.out_features}).clone();
}

Linear::Linear(std::string path, const Tensor& weight, Tensor bias)
    : path_(std::move(path)), weight_(pack(path_, weight)), bias_(std::move(bias)) {}

void Linear::forward(const float* x, std::int64_t rows, float* y, ThreadPool& pool) const {
  std::vector<float> quantized;
  if (input_) {
    quantized.resize(static_cast<std::size_t>(rows * in_features()));
    scheme::fake_quantize(*input_, x, in_features(), rows, in_features(), quantized.data(), in_features(),
                          pool);
    x = quantized.data();
  }
  kernels::linear(x, rows, weight_, bias_.defined() ? bias_.data<float>() : nullptr, y, pool);
  if (output_)
    scheme::fake_quantize(*output_, y, out_features(), rows, out_features(), y, out_features(), pool);
}

void Linear::set_weight(const QuantizedMatrix& weight) {
  replace(kernels::pack_weight(weight));
}

void Linear::set_weight(const Tensor& dense) {
  replace(pack(path_, dense));
}

void Linear::replace(kernels::PackedWeight weight) {
  FARTHING_CHECK(weight.rows == weight_.rows && weight.columns == weight_.columns,
                 "{}: [{}, {}] for [{}, {}]", path_, weight.rows, weight.columns, weight_.rows,
                 weight_.columns);
  weight_ = std::move(weight);
}

}  // namespace farthing::nn
