#include "quantize/linear_quantizer.h"

#include <chrono>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "kernels/linalg.h"
#include "methods/refine.h"
#include "methods/rtn.h"
#include "scheme/quantizer.h"

namespace farthing::quantize {
namespace {

const Tensor kNoShift;

// Output rows whose error is measured: enough for three digits, a small share of the product over all rows.
constexpr std::int64_t kMeasuredRows = 64;

// sum over rows of r H r^T: the energy of the outputs x r over the calibration inputs.
double output_energy(const Tensor& rows, const Tensor& hessian, ThreadPool& pool) {
  const std::int64_t count = rows.dim(0), columns = rows.dim(1);
  Tensor product = Tensor::zeros(DType::kF32, {count, columns});  // becomes -rows H
  kernels::subtract_product(rows.data<float>(), columns, hessian.data<float>(), columns, count, columns,
                            columns, product.mutable_data<float>(), columns, pool);
  double sum = 0;
  for (std::int64_t i = 0; i < rows.numel(); ++i)
    sum -= static_cast<double>(rows.data<float>()[i]) * product.data<float>()[i];
  return std::max(sum, 0.0);
}

// |x (W - Q)^T| / |x W^T| over the calibration inputs x.
double output_error(const Tensor& weight, const QuantizedMatrix& quantized, const Tensor& hessian,
                    ThreadPool& pool) {
  const std::int64_t count = std::min(kMeasuredRows, weight.dim(0)), columns = weight.dim(1);
  const scheme::RowDequantizer dequantizer(quantized);
  Tensor original = Tensor::empty(DType::kF32, {count, columns});
  Tensor difference = Tensor::empty(DType::kF32, {count, columns});
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t row = i * weight.dim(0) / count;
    const Tensor values = to_float32(weight.rows(row, row + 1));
    float* w = original.mutable_data<float>() + i * columns;
    float* d = difference.mutable_data<float>() + i * columns;
    std::memcpy(w, values.data<float>(), values.num_bytes());
    dequantizer.row(row, d);
    for (std::int64_t c = 0; c < columns; ++c) d[c] -= w[c];
  }
  const double signal = output_energy(original, hessian, pool);
  return signal > 0 ? std::sqrt(output_energy(difference, hessian, pool) / signal) : 0;
}

}  // namespace

QuantizedLinear LinearQuantizer::quantize(const plan::LinearPlan& linear, const Tensor& weight,
                                          std::optional<float> global_scale) {
  const auto start = std::chrono::steady_clock::now();
  const std::string& path = linear.module.path;
  const scheme::QuantizationArgs& args = *linear.scheme.weights;
  QuantizedLinear done;
  done.result = {.name = path,
                 .method = std::string(plan::method_name(linear.method)),
                 .scheme = scheme::describe(linear.scheme)};
  const Tensor* hessian = nullptr;
  try {
    const scheme::ObserverOptions observer{.model_dtype = linear.scale_dtype, .global_scale = global_scale};
    const bool is_gptq = linear.method == plan::Method::kGptq;
    if (is_gptq) hessian = &hessians_->hessian(path);
    if (is_gptq && hessian->defined()) {
      const methods::GptqOptions options{.block_size = linear.gptq.block_size,
                                         .dampening_frac = linear.gptq.dampening_frac,
                                         .group_aware_order = linear.gptq.group_aware_order,
                                         .refresh_scales = linear.gptq.refresh_scales,
                                         .gptaq_alpha = linear.gptq.gptaq_alpha,
                                         .observer = observer};
      const std::int64_t grouped = options.group_aware_order ? args.group_size.value_or(-1) : 0;
      const std::string key =
          fmt::format("{} {} {} {} {}", hessians_->group_of(path), static_cast<int>(args.actorder),
                      options.dampening_frac, grouped, options.gptaq_alpha);
      const Tensor& shift = linear.pairs_inputs() ? hessians_->shift(path) : kNoShift;
      if (linear.pairs_inputs() && !shift.defined())
        done.deviations.emplace_back("not every token reached it in both models: GPTQ in place of GPTAQ");
      if (key != factor_key_) {
        factor_ = {};  // its memory goes before the next one needs as much
        factor_ = methods::gptq_prepare(*hessian, args, options, pool_, shift);
        factor_key_ = key;
      }
      methods::GptqResult result = methods::gptq(weight, factor_, args, options, pool_);
      done.weight = std::move(result.weight);
      done.result.dampening = result.dampening_frac;
      if (result.status != methods::GptqStatus::kOk) done.deviations.push_back(result.problem);
      if (result.status == methods::GptqStatus::kRoundedToNearest) {
        done.result.method = "rtn";
        hessian = nullptr;
      } else if (linear.gptq.refine_passes > 0 && args.type == NumberType::kInt) {
        methods::refine(weight, *hessian, linear.gptq.refine_passes, done.weight, pool_, shift,
                        options.gptaq_alpha);
      }
    } else {
      if (is_gptq) {  // an expert that the router never chose
        done.deviations.emplace_back("no calibration token reached it, so it was rounded to nearest");
        done.result.method = "rtn";
        hessian = nullptr;
      }
      done.weight = methods::rtn(weight, args, observer, pool_);
    }
  } catch (const Error& error) {
    if (error.code() != Code::kNumeric) throw;
    std::vector<Field> fields = {{"tensor", linear.source_tensor}};
    fields.insert(fields.end(), error.fields().begin(), error.fields().end());
    throw Error(Code::kCorruptData, error.message(), std::move(fields),
                "the checkpoint itself is damaged there; fetch it again, or --ignore this module");
  }
  const scheme::QuantizationError error = scheme::measure_error(weight, done.weight, pool_);
  done.result.mse = error.mse;
  done.result.relative_error = hessian ? output_error(weight, done.weight, *hessian, pool_) : error.relative;
  done.result.sqnr_db = done.result.relative_error > 0 ? -20 * std::log10(done.result.relative_error) : 300;
  done.result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return done;
}

}  // namespace farthing::quantize
