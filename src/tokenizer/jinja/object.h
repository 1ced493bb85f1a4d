// Things with an identity (functions, macros, namespaces, the `loop` variable) and the state of one rendering
// that they share.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tokenizer/jinja/budget.h"
#include "tokenizer/jinja/value.h"

namespace farthing::tokenizer::jinja {

struct Runtime;

/// The arguments of a call as the template wrote them.
struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

class Object {
 public:
  virtual ~Object() = default;
  virtual std::string_view type_name() const = 0;
  /// Python's repr().
  virtual std::string describe(Budget& budget) const;
  /// The attribute of this name, or nothing.
  virtual std::optional<Value> attribute(Runtime& runtime, std::string_view name);
  virtual bool callable() const { return false; }
  virtual Value call(Runtime& runtime, Arguments arguments);
  /// See Value::nesting: how deep the values held inside go. Zero for what the Arena takes apart.
  virtual int nesting() const { return 0; }
};

/// `namespace(...)`: the one thing a template may change after making it.
class Namespace : public Object {
 public:
  std::string_view type_name() const override { return "Namespace"; }
  std::string describe(Budget& budget) const override;
  std::optional<Value> attribute(Runtime& runtime, std::string_view name) override;
  void set(std::string_view name, Value value);
  void clear() { attributes_.clear(); }

 private:
  std::vector<std::pair<std::string, Value>> attributes_;
};

/// The variables of a block. Names not found here are looked for in the block around it.
class Scope {
 public:
  explicit Scope(std::shared_ptr<Scope> parent = nullptr) : parent_(std::move(parent)) {}

  /// Nearest value of this name, or null.
  const Value* find(std::string_view name, Budget& budget) const;
  void set(std::string_view name, Value value);
  const std::shared_ptr<Scope>& parent() const { return parent_; }

 private:
  friend class Arena;

  std::vector<std::pair<std::string, Value>> variables_;
  std::shared_ptr<Scope> parent_;
  bool kept_ = false;  // by the arena
};

/// Holds what can take part in a cycle (a namespace that contains itself, a macro in the scope that it closes
/// over) until the end of the rendering, and empties it then: nothing leaks, and no long chain is torn down
/// recursively.
class Arena {
 public:
  Arena() = default;
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  std::shared_ptr<Namespace> make_namespace(Budget& budget);
  /// Keeps `scope` and those around it.
  void keep(const std::shared_ptr<Scope>& scope, Budget& budget);

 private:
  std::vector<std::shared_ptr<Namespace>> namespaces_;
  std::vector<std::shared_ptr<Scope>> scopes_;
};

/// The state of one rendering.
struct Runtime {
  Arena arena;
  Budget budget;
  std::optional<std::chrono::sys_seconds> now;  // what strftime_now sees; the local clock when absent
};

}  // namespace farthing::tokenizer::jinja
