#include "methods/rtn.h"

namespace farthing::methods {

QuantizedMatrix rtn(const Tensor& weight, const scheme::QuantizationArgs& args,
                    const scheme::ObserverOptions& options, ThreadPool& pool) {
  return scheme::quantize(weight, args, scheme::observe(weight, args, options, pool), pool);
}

}  // namespace farthing::methods
