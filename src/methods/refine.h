// Coordinate descent on a quantized weight: codes and scales are moved one at a time while the error of the
// outputs over the calibration inputs falls. What GPTQ leaves, walking every column once, can often still be
// improved so at the same bits.
#pragma once

#include "base/thread_pool.h"
#include "tensor/quantized_matrix.h"

namespace farthing::methods {

/// Lowers sum over rows (w - q) H (w - q)^T of integer codes, in at most `passes` passes over all columns of
/// every row, each followed by a new scale for every group where scales are of groups or channels. `hessian`
/// is F32 [in, in], symmetric, undamped. The error never grows. With `shift` = D (see gptq.h) the error is
/// that of GPTAQ, |q x - w (x + alpha (x~ - x))| over the inputs. Returns how many codes changed.
std::int64_t refine(const Tensor& weight, const Tensor& hessian, int passes, QuantizedMatrix& matrix,
                    ThreadPool& pool, const Tensor& shift = Tensor(), double alpha = 0);

}  // namespace farthing::methods
