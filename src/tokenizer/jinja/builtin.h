// Filters, tests, methods and global functions: one table of names each, with the parameters that Python
// gives them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/jinja/object.h"
#include "tokenizer/jinja/value.h"

namespace farthing::tokenizer::jinja {

struct Builtin;

/// The arguments of a call laid out by parameter. The getters throw Failure when the type does not fit.
class Bound {
 public:
  /// Throws Failure for too many, unknown, doubled or missing arguments.
  Bound(const Builtin& builtin, const Arguments& arguments);

  bool given(std::size_t i) const { return slots_[i] != nullptr; }
  /// Whether parameter `i` was given, and not as None.
  bool has(std::size_t i) const { return slots_[i] && !slots_[i]->is_none(); }
  /// The value of parameter `i`; None when it was not given.
  Value value(std::size_t i) const { return slots_[i] ? *slots_[i] : Value::none(); }
  std::string text(std::size_t i, std::string_view otherwise = {}) const;
  std::int64_t integer(std::size_t i, std::int64_t otherwise = 0) const;
  bool truth(std::size_t i, bool otherwise = false) const {
    return slots_[i] ? slots_[i]->truth() : otherwise;
  }
  /// As written, for those that take any number of arguments.
  const Arguments& all() const { return arguments_; }

 private:
  const Arguments& arguments_;
  std::vector<const Value*> slots_;
};

struct Builtin {
  std::string_view name;
  std::vector<std::string_view> parameters;
  std::size_t required;  // how many of them have no default
  Value (*run)(Runtime& runtime, const Value& self, const Bound& arguments);
  bool variadic = false;  // takes what it gets; `parameters` is empty
};

/// Runs `builtin` on `self` (the filtered or tested value, the receiver of a method).
Value apply(Runtime& runtime, const Builtin& builtin, const Value& self, const Arguments& arguments);

// Null for a name that does not exist.
const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_global(std::string_view name);
const Builtin* find_method(const Value& receiver, std::string_view name);

/// Throws Failure when there is no filter of this name, or from within it.
Value apply_filter(Runtime& runtime, std::string_view name, const Value& self, const Arguments& arguments);
/// Throws Failure when there is no test of this name, or from within it.
bool apply_test(Runtime& runtime, std::string_view name, const Value& self, const Arguments& arguments);

/// `builtin` as a value that can be called; `receiver` is its `self`.
Value make_function(const Builtin& builtin, Value receiver);

// The parts of the tables, by subject.
const std::vector<Builtin>& text_filters();
const std::vector<Builtin>& number_filters();
const std::vector<Builtin>& sequence_filters();
const std::vector<Builtin>& tests();
const std::vector<Builtin>& globals();
const std::vector<Builtin>& text_methods();
const std::vector<Builtin>& dict_methods();
const std::vector<Builtin>& sequence_methods();

}  // namespace farthing::tokenizer::jinja
