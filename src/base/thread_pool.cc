#include "base/thread_pool.h"

#include <algorithm>
#include <chrono>

#include "base/system.h"

namespace farthing {
namespace {

thread_local bool inside_body = false;

// Waking a thread takes tens of microseconds, as long as a small op. The ops of one token follow each other
// faster than this; a program that waits for its user soon sleeps.
constexpr std::chrono::microseconds kSpinTime{40};

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Returns when `changed` holds, or kSpinTime later.
template <typename Condition>
void spin_until(const Condition& changed) {
  const auto end = std::chrono::steady_clock::now() + kSpinTime;
  do {
    for (int i = 0; i < 16; ++i) {
      if (changed()) return;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
}

}  // namespace

struct ThreadPool::Job {
  std::int64_t count;
  std::int64_t grain;
  const std::function<void(std::int64_t, std::int64_t)>* body;
  std::atomic<std::int64_t> next{0};
  std::mutex error_mutex;
  std::exception_ptr error;
};

ThreadPool::ThreadPool(int num_threads) {
  if (num_threads <= 0) num_threads = usable_cores();
  spins_ = num_threads <= usable_cores();  // else the thread that is waited for may need this core
  for (int i = 1; i < num_threads; ++i) workers_.emplace_back([this] { work(); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_pieces(Job& job) {
  const bool was_inside = inside_body;
  inside_body = true;
  for (;;) {
    const std::int64_t begin = job.next.fetch_add(job.grain, std::memory_order_relaxed);
    if (begin >= job.count) break;
    try {
      (*job.body)(begin, std::min(begin + job.grain, job.count));
    } catch (...) {
      const std::lock_guard lock(job.error_mutex);
      if (!job.error) job.error = std::current_exception();
      job.next.store(job.count, std::memory_order_relaxed);
    }
  }
  inside_body = was_inside;
}

void ThreadPool::work() {
  std::uint64_t seen = 0;
  for (;;) {
    if (spins_) spin_until([&] { return stop_ || generation_ != seen; });
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [&] { return stop_ || generation_ != seen; });
    if (stop_) return;
    seen = generation_;
    if (job_ == nullptr) continue;  // the others were faster
    Job& job = *job_;
    ++active_;
    lock.unlock();
    run_pieces(job);
    lock.lock();
    if (--active_ == 0) done_.notify_all();
  }
}

void ThreadPool::parallel_for(std::int64_t count, std::int64_t grain,
                              const std::function<void(std::int64_t, std::int64_t)>& body) {
  if (count <= 0) return;
  Job job{.count = count, .grain = std::max<std::int64_t>(1, grain), .body = &body};
  if (workers_.empty() || inside_body || count <= job.grain) {
    run_pieces(job);
  } else {
    const std::lock_guard submit(submit_);
    {
      const std::lock_guard lock(mutex_);
      job_ = &job;
      ++generation_;
    }
    wake_.notify_all();
    run_pieces(job);
    if (spins_) spin_until([&] { return active_ == 0; });
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return active_ == 0; });
    job_ = nullptr;
  }
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace farthing
