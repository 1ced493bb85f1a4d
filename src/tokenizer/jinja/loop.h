// The `loop` variable. It draws items only when they are needed, because the condition of a loop may depend
// on what its body did with the items before.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "tokenizer/jinja/object.h"

namespace farthing::tokenizer::jinja {

class Loop : public Object, public std::enable_shared_from_this<Loop> {
 public:
  /// What `loop(items)` does in a loop marked recursive; empty in others.
  using Recursion = std::function<Value(const Value& iterable, int depth)>;

  /// `next` gives the items of `iterable` that pass the loop's condition; `length` is their number where
  /// known.
  Loop(const Value& iterable, Iterator next, std::optional<std::size_t> length, int depth,
       Recursion recursion);

  /// Moves to the next item; false at the end.
  bool advance();
  const Value& item() const { return *current_; }
  /// Lets go of the iterable and the scopes around; a template may keep the variable longer than its loop
  /// runs.
  void finish();

  std::string_view type_name() const override { return "LoopContext"; }
  std::string describe(Budget& budget) const override;
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override;
  bool callable() const override { return true; }
  Value call(Runtime& runtime, Arguments arguments) override;
  int nesting() const override { return nesting_; }

  /// The values of loop.cycle and loop.changed.
  Value cycle(const std::vector<Value>& values) const;
  bool changed(const Value& values, Budget& budget);

 private:
  std::int64_t length(Budget& budget);
  const std::optional<Value>& peek();

  Iterator next_;
  std::optional<std::size_t> length_;
  int depth_;  // from 0
  Recursion recursion_;
  int nesting_;

  std::int64_t index_ = -1;  // from 0
  std::optional<Value> previous_, current_;
  std::optional<Value> after_;  // drawn ahead of time, if has_after_
  bool has_after_ = false;
  std::optional<Value> last_changed_;
};

}  // namespace farthing::tokenizer::jinja
