#include "base/thread_pool.h"

#include <atomic>
#include <stdexcept>

#include <gtest/gtest.h>

namespace farthing {
namespace {

TEST(ThreadPool, CoversEveryIndexOnce) {
  for (int threads : {1, 2, 5}) {
    ThreadPool pool(threads);
    std::vector<std::atomic<int>> hits(1003);
    pool.parallel_for(1003, 7, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) ++hits[i];
    });
    for (const auto& hit : hits) EXPECT_EQ(hit, 1);
  }
}

TEST(ThreadPool, RethrowsTheExceptionOfAPiece) {
  ThreadPool pool(3);
  EXPECT_THROW(pool.parallel_for(100, 1,
                                 [](std::int64_t begin, std::int64_t) {
                                   if (begin == 42) throw std::runtime_error("piece 42");
                                 }),
               std::runtime_error);
  std::atomic<int> count{0};  // and stays usable
  pool.parallel_for(10, 1, [&](std::int64_t, std::int64_t) { ++count; });
  EXPECT_EQ(count, 10);
}

TEST(ThreadPool, NestedLoopsRunInPlace) {
  ThreadPool pool(4);
  std::atomic<int> count{0};
  pool.parallel_for(8, 1, [&](std::int64_t, std::int64_t) {
    pool.parallel_for(8, 1, [&](std::int64_t, std::int64_t) { ++count; });
  });
  EXPECT_EQ(count, 64);
}

}  // namespace
}  // namespace farthing
