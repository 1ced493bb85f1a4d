// The limits of one rendering. A template comes with the model, from anywhere: a hostile or broken one has to
// end in an Error, not in a hang, a full memory or an overflowing stack.
#pragma once

#include <cstddef>
#include <cstdint>

namespace farthing::tokenizer::jinja {

class Budget {
 public:
  static constexpr std::int64_t kSteps = 50'000'000;  // nodes evaluated: a few seconds
  static constexpr std::int64_t kBytes = std::int64_t{1}
                                         << 30;  // text and items produced or searched, in all
  static constexpr std::size_t kOutputBytes = std::size_t{64} << 20;
  static constexpr int kDepth = 1500;  // nested evaluations; each takes well under a kilobyte of stack

  /// Counts one evaluation. Throws kResources beyond the limit.
  void step() {
    if (++steps_ > kSteps) [[unlikely]]
      throw_too_much("steps", kSteps);
  }

  /// Counts `bytes` produced or searched; call it before a large allocation. Throws kResources beyond the
  /// limit.
  void charge(std::size_t bytes) {
    if (bytes > static_cast<std::size_t>(kBytes - bytes_)) [[unlikely]]
      throw_too_much("bytes of text and lists", kBytes);
    bytes_ += static_cast<std::int64_t>(bytes);
  }

  /// Throws kResources for a result that is too long.
  static void check_output(std::size_t bytes) {
    if (bytes > kOutputBytes) [[unlikely]]
      throw_too_much("bytes of output", kOutputBytes);
  }

  /// Held during a nested evaluation. Throws kResources when they nest too deeply.
  class Level {
   public:
    explicit Level(Budget& budget) : budget_(budget) {
      if (budget_.depth_ >= kDepth) [[unlikely]]
        throw_too_much("nested evaluations", kDepth);
      ++budget_.depth_;
    }
    ~Level() { --budget_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Budget& budget_;
  };

 private:
  [[noreturn]] static void throw_too_much(const char* of_what, std::int64_t limit);

  std::int64_t steps_ = 0;
  std::int64_t bytes_ = 0;
  int depth_ = 0;
};

}  // namespace farthing::tokenizer::jinja
