// How fast this machine reads memory, for doctor and bench.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"

namespace farthing::cli {

/// Bytes per second that all threads together read from memory: the best of a few passes over a buffer that
/// no cache holds. Decoding one token reads every weight once, so this bounds its speed.
double read_bandwidth(ThreadPool& pool, std::uint64_t available_bytes);

}  // namespace farthing::cli
