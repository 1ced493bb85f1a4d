#include "base/error.h"

namespace farthing {

int exit_code(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return 2;
    case Code::kNotFound:
    case Code::kUnsupported:
    case Code::kCorruptData:
    case Code::kIo:
      return 3;
    case Code::kResources:
      return 4;
    case Code::kNumeric:
    case Code::kVerification:
      return 6;
    case Code::kCancelled:
      return 130;
    case Code::kInternal:
      return 1;
  }
  return 1;
}

std::string_view code_name(Code code) {
  switch (code) {
    case Code::kInvalidArgument:
      return "invalid_argument";
    case Code::kNotFound:
      return "not_found";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kCorruptData:
      return "corrupt_data";
    case Code::kResources:
      return "resources";
    case Code::kNumeric:
      return "numeric";
    case Code::kVerification:
      return "verification";
    case Code::kIo:
      return "io";
    case Code::kCancelled:
      return "cancelled";
    case Code::kInternal:
      return "internal";
  }
  return "internal";
}

Error::Error(Code code, std::string message, std::vector<Field> fields, std::string hint)
    : code_(code),
      message_(std::move(message)),
      fields_(std::move(fields)),
      hint_(std::move(hint)),
      text_(message_) {
  const char* separator = ": ";
  for (const Field& field : fields_) {
    text_ += fmt::format("{}{}={}", separator, field.name, field.value);
    separator = " ";
  }
}

namespace internal {

void throw_check(const char* expression, const char* file, int line, std::string detail) {
  throw Error(Code::kInternal, "internal check failed",
              {{"check", expression}, {"at", fmt::format("{}:{}", file, line)}, {"detail", detail}},
              "this is a bug in Farthing; please report it with the command you typed");
}

}  // namespace internal
}  // namespace farthing
