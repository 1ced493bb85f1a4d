#include "methods/rtn.h"

#include "methods/blockwise.h"
#include "methods/llm_int8.h"
#include "scheme/quantizer.h"

namespace farthing::methods {

QuantizedMatrix rtn(const Tensor& weight, const scheme::QuantizationArgs& args,
                    const scheme::ObserverOptions& options, ThreadPool& pool) {
  if (scheme::is_blockwise(args)) return quantize_blockwise(weight, args, pool);
  if (scheme::is_llm_int8(args)) return llm_int8(weight, pool);
  return scheme::quantize(weight, args, scheme::observe(weight, args, options, pool), pool);
}

}  // namespace farthing::methods
