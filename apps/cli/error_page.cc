#include "cli/error_page.h"

#include <filesystem>
#include <new>

namespace farthing::cli {

Error as_error(std::exception_ptr exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(
        Code::kResources, "not enough memory", {},
        "see what fits: farthing estimate MODEL; a limit may be set by the container or by ulimit -v");
  } catch (const std::filesystem::filesystem_error& error) {
    return Error(Code::kIo, error.code().message(), {{"path", error.path1().string()}});
  } catch (const std::exception& error) {
    return Error(Code::kInternal, "unexpected failure", {{"reason", error.what()}},
                 "this is a bug in Farthing; please report it with the command you typed");
  }
}

std::string error_lines(const Error& error, const TerminalStyle& style) {
  const char* red = style.color ? "\x1b[1;31m" : "";
  const char* cyan = style.color ? "\x1b[36m" : "";
  const char* plain = style.color ? "\x1b[0m" : "";
  std::string result = fmt::format("{}error:{} {}\n", red, plain, printable(error.what()));
  if (!error.hint().empty()) result += fmt::format("{}hint:{}  {}\n", cyan, plain, printable(error.hint()));
  return result;
}

Json error_document(const Error& error) {
  Json fields = Json::object();
  for (const Field& field : error.fields()) fields[field.name] = field.value;
  return {{"schema", 1},
          {"error",
           {{"code", code_name(error.code())},
            {"message", error.message()},
            {"fields", fields},
            {"hint", error.hint()}}}};
}

}  // namespace farthing::cli
