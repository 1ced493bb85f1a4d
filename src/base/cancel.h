// How long work learns that the user wants it to stop.
#pragma once

#include <atomic>

namespace farthing {

/// A flag that a signal handler sets and long loops look at. Any thread may call anything here.
class CancelToken {
 public:
  CancelToken() = default;
  CancelToken(const CancelToken&) = delete;
  CancelToken& operator=(const CancelToken&) = delete;

  /// Asks to stop. `signal_number` (SIGINT or SIGTERM) is kept for the exit code; the first request wins.
  /// Safe inside a signal handler.
  void request(int signal_number) noexcept {
    int none = 0;
    signal_.compare_exchange_strong(none, signal_number, std::memory_order_relaxed);
  }

  bool requested() const noexcept { return signal_.load(std::memory_order_relaxed) != 0; }

  /// Throws Error(kCancelled) once a stop was asked for.
  void check() const;

  /// Returns the exit code that the command line promises: 130 after SIGINT, 143 after SIGTERM.
  int exit_code() const noexcept { return 128 + signal_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int> signal_{0};
  static_assert(std::atomic<int>::is_always_lock_free);
};

}  // namespace farthing
