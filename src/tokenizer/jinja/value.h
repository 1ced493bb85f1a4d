// The values a template computes with: Python's, as far as a template can see them. They never change once
// made (templates run in an immutable sandbox), so copies share their contents.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "tokenizer/jinja/budget.h"
#include "tokenizer/jinja/failure.h"

namespace farthing::tokenizer::jinja {

class Object;
class Value;
struct Dict;
struct Generator;
struct Sequence;

/// UTF-8. `markup` marks what went through `safe` or `escape`: joined with plain text it escapes that.
struct Text {
  std::string bytes;
  bool markup = false;
};

enum class Kind {
  kUndefined,
  kNone,
  kBoolean,
  kInteger,
  kFloat,
  kText,
  kSequence,
  kDict,
  kGenerator,
  kObject
};

class Value {
 public:
  static constexpr int kMaxNesting =
      200;  // lists in lists; keeps every walk over a value off the end of the stack

  /// Undefined, as a variable that nobody has set.
  Value() = default;
  /// Undefined; `complaint` is the message when the template uses it.
  static Value undefined(std::string complaint);
  static Value none() { return Value(Data(None{})); }
  static Value boolean(bool value) { return Value(Data(value)); }
  static Value integer(std::int64_t value) { return Value(Data(value)); }
  static Value real(double value) { return Value(Data(value)); }
  static Value text(std::string bytes, bool markup = false);
  static Value text(std::string_view bytes, bool markup = false) { return text(std::string(bytes), markup); }
  static Value text(const char* bytes) { return text(std::string(bytes)); }
  static Value list(std::vector<Value> items);
  static Value tuple(std::vector<Value> items);
  /// Throws Failure when containers nest too deeply, as all makers of containers do.
  static Value sequence(Sequence sequence);
  /// The keys have to differ; see make_dict for the general case.
  static Value dict(std::vector<std::pair<Value, Value>> entries);
  static Value generator(Generator generator);
  static Value object(std::shared_ptr<Object> object) { return Value(Data(std::move(object))); }
  /// Throws Error (kInvalidArgument) when it nests deeper than kMaxNesting.
  static Value from_json(const Json& json);

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is_undefined() const { return kind() == Kind::kUndefined; }
  bool is_none() const { return kind() == Kind::kNone; }
  bool is_text() const { return kind() == Kind::kText; }

  /// Why an undefined value is undefined.
  const std::string& complaint() const;

  // Each gives null or nothing for values of another kind.
  const Text* as_text() const { return pointer<const Text>(); }
  const Sequence* as_sequence() const { return pointer<const Sequence>(); }
  const Dict* as_dict() const { return pointer<const Dict>(); }
  Generator* as_generator() const { return pointer<Generator>(); }
  Object* as_object() const { return pointer<Object>(); }
  const bool* as_boolean() const { return std::get_if<bool>(&data_); }
  const double* as_float() const { return std::get_if<double>(&data_); }
  /// Integers and booleans.
  std::optional<std::int64_t> as_integer() const;
  /// Integers, booleans and floats.
  std::optional<double> as_number() const;
  /// Containers only: shares them, for iterators that outlive this value.
  std::shared_ptr<const Sequence> shared_sequence() const {
    return std::get<std::shared_ptr<const Sequence>>(data_);
  }
  std::shared_ptr<const Dict> shared_dict() const { return std::get<std::shared_ptr<const Dict>>(data_); }
  std::shared_ptr<Generator> shared_generator() const { return std::get<std::shared_ptr<Generator>>(data_); }

  /// Python's bool().
  bool truth() const;
  /// How deeply containers nest below this value: 0 for text and numbers.
  int nesting() const;
  /// Whether both are the very same object (`is`).
  bool same_as(const Value& other) const;

 private:
  struct None {};
  struct Undefined {
    std::shared_ptr<const std::string> complaint;
  };
  using Data = std::variant<Undefined, None, bool, std::int64_t, double, std::shared_ptr<const Text>,
                            std::shared_ptr<const Sequence>, std::shared_ptr<const Dict>,
                            std::shared_ptr<Generator>, std::shared_ptr<Object>>;

  explicit Value(Data data) : data_(std::move(data)) {}

  template <typename T>
  T* pointer() const {
    const auto* shared = std::get_if<std::shared_ptr<T>>(&data_);
    return shared ? shared->get() : nullptr;
  }

  Data data_;
};

/// Lists, tuples and what else has a length and an order.
struct Sequence {
  enum class Flavor {
    kList,
    kTuple,
    kGroup /* of groupby: a tuple (grouper, list) */,
    kRange,
    kItems,
    kKeys,
    kValues
  };
  Flavor flavor = Flavor::kList;
  std::vector<Value> items;
  int nesting = 0;
};

/// Keeps the order of insertion. Dicts of chats are small: a search walks the entries.
struct Dict {
  std::vector<std::pair<Value, Value>> entries;
  int nesting = 0;

  /// The value under a text key, or null.
  const Value* find(std::string_view key, Budget& budget) const;
};

/// Hands out items one by one, and nothing at the end.
using Iterator = std::function<std::optional<Value>()>;

/// What filters such as `map` and `select` give: it can be walked once.
struct Generator {
  Iterator next;
  int nesting = 0;  // that of what it draws from
};

/// The nesting of something that holds values of `nesting`. Throws Failure beyond Value::kMaxNesting.
int nesting_above(int nesting);

/// Python's name of the class: "str", "NoneType", "dict_items" ...
std::string_view type_name(const Value& value);

}  // namespace farthing::tokenizer::jinja
