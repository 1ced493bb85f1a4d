// Threads for loops. Work is cut into pieces whose borders do not depend on the number of threads, and each
// piece is computed by one thread: results are the same bytes for any --threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace farthing {

class ThreadPool {
 public:
  /// Starts `num_threads - 1` workers; the calling thread is the remaining one. 0 means one per usable core.
  explicit ThreadPool(int num_threads = 0);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int num_threads() const { return static_cast<int>(workers_.size()) + 1; }

  /// Calls `body(begin, end)` for consecutive pieces of `grain` indices covering [0, count), in any order and
  /// concurrently, and returns when all are done. The first exception of a piece is rethrown here. Calls from
  /// inside a body run their pieces on the calling thread.
  void parallel_for(std::int64_t count, std::int64_t grain,
                    const std::function<void(std::int64_t, std::int64_t)>& body);

 private:
  struct Job;
  void work();
  static void run_pieces(Job& job);

  std::vector<std::thread> workers_;
  bool spins_ = false;  // threads look for a change for a moment before they sleep
  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  Job* job_ = nullptr;  // guarded by mutex_
  // The rest changes under mutex_ only; atomic, because spinning threads look without it.
  std::atomic<std::uint64_t> generation_ = 0;  // counts jobs, so that a worker takes each one once
  std::atomic<int> active_ = 0;                // workers inside the current job
  std::atomic<bool> stop_ = false;
  std::mutex submit_;  // one job at a time
};

}  // namespace farthing
