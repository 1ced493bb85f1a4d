// Errors of two sorts: a problem in the user's world (bad flag, corrupt file, full disk), which says what is
// wrong, where, the actual values and what to type next; and a broken invariant of ours, which says how to
// report it.
#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace farthing {

enum class Code {
  kInvalidArgument,  // bad flag, bad recipe, pattern that matches nothing
  kNotFound,         // file, tensor or module that should be there
  kUnsupported,      // architecture, scheme or format we do not know
  kCorruptData,      // file contents that contradict themselves or their format
  kResources,        // memory or disk
  kNumeric,          // not finite, not positive definite
  kVerification,     // the result is not what it should be
  kIo,               // the operating system refused
  kCancelled,        // interrupted by the user
  kInternal,         // a bug of ours
};

/// Returns the process exit code that the command line promises for `code`.
int exit_code(Code code);

/// Returns the word for `code` used in JSON, such as "not_found".
std::string_view code_name(Code code);

/// One named value shown after the message, as in `tensor=model.norm.weight`.
struct Field {
  template <typename T>
  Field(std::string name, const T& value) : name(std::move(name)), value(fmt::format("{}", value)) {}
  std::string name;
  std::string value;
};

class Error : public std::exception {
 public:
  Error(Code code, std::string message, std::vector<Field> fields = {}, std::string hint = {});

  const char* what() const noexcept override { return text_.c_str(); }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  const std::vector<Field>& fields() const { return fields_; }
  const std::string& hint() const { return hint_; }

 private:
  Code code_;
  std::string message_;
  std::vector<Field> fields_;
  std::string hint_;
  std::string text_;  // message and fields on one line
};

namespace internal {
[[noreturn]] void throw_check(const char* expression, const char* file, int line, std::string detail);
}  // namespace internal

/// Throws a user error unless `condition` holds: FARTHING_REQUIRE(ok, Code::kNotFound, "message", {{"file",
/// path}}, "hint").
#define FARTHING_REQUIRE(condition, ...)    \
  do {                                      \
    if (!(condition)) [[unlikely]]          \
      throw ::farthing::Error(__VA_ARGS__); \
  } while (false)

/// Throws an internal error unless the invariant holds. The optional rest is a fmt format and its arguments.
#define FARTHING_CHECK(condition, ...)                                                                  \
  do {                                                                                                  \
    if (!(condition)) [[unlikely]]                                                                      \
      ::farthing::internal::throw_check(#condition, __FILE__, __LINE__, ::fmt::format("" __VA_ARGS__)); \
  } while (false)

}  // namespace farthing
