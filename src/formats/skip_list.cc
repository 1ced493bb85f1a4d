#include "formats/skip_list.h"

#include <algorithm>
#include <string_view>

namespace farthing::formats {
namespace {

std::string plain_text(std::string_view pattern) {
  constexpr std::string_view kRegex = "re:";
  if (!pattern.starts_with(kRegex)) return std::string(pattern);
  pattern.remove_prefix(kRegex.size());
  std::string text;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '^' || pattern[i] == '$') continue;
    if (pattern.substr(i, 2) == ".*")
      ++i;
    else if (pattern[i] == '\\' && i + 1 < pattern.size())
      text += pattern[++i];
    else
      text += pattern[i];
  }
  return text;
}

}  // namespace

std::vector<std::string> skip_list(const std::vector<std::string>& patterns) {
  std::vector<std::string> names;
  for (const std::string& pattern : patterns) {
    std::string text = plain_text(pattern);
    while (text.ends_with('.')) text.pop_back();
    if (std::find(names.begin(), names.end(), text) == names.end()) names.push_back(std::move(text));
  }
  return names;
}

}  // namespace farthing::formats
