#include "base/thread_pool.h"

#include <atomic>
#include <chrono>
#include <ctime>
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

TEST(ThreadPool, ShortJobsInARowReuseTheWorkers) {
  ThreadPool pool(2);
  std::atomic<std::int64_t> sum{0};
  for (int job = 0; job < 20000; ++job) {
    pool.parallel_for(4, 1, [&](std::int64_t begin, std::int64_t) { sum += begin; });
  }
  EXPECT_EQ(sum, 20000 * 6);
}

TEST(ThreadPool, IdleWorkersSleep) {
  ThreadPool pool(2);
  pool.parallel_for(2, 1, [](std::int64_t, std::int64_t) {});
  const std::clock_t before = std::clock();  // CPU time of the whole process
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_LT(std::clock() - before, CLOCKS_PER_SEC / 20);
}

}  // namespace
}  // namespace farthing
