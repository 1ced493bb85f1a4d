// A quantized checkpoint seen as a plain one: every quantized weight is dequantized when it is read, one at a
// time, so that whatever takes plain checkpoints takes these too.
#pragma once

#include <functional>

#include "base/thread_pool.h"
#include "formats/weight_format.h"

namespace farthing::formats {

/// The element type that config.json names for plain weights; BF16 where it is silent.
DType plain_dtype(const Json& config);

/// The view. Its config has no words about quantization any more, and scales of activations and caches are
/// left out. `is_transposed` says which modules a plain file stores as [in, out]. `pool` must live as long as
/// the view. `checkpoint` itself where nothing in it is quantized. Throws kUnsupported where weights of
/// several modules lie in one tensor.
checkpoint::Checkpoint dequantized(const checkpoint::Checkpoint& checkpoint, OtherSpelling other_spelling,
                                   const std::function<bool(std::string_view)>& is_transposed,
                                   ThreadPool& pool);

}  // namespace farthing::formats
