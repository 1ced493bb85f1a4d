#include "base/system.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <string_view>
#include <thread>

#include <fmt/format.h>
#include <sched.h>

namespace farthing {

namespace fs = std::filesystem;

namespace {

std::optional<std::uint64_t> to_number(std::string_view text) {
  while (text.starts_with(' ') || text.starts_with('\t')) text.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

// The text after `key` on the line of `file` that starts with it.
std::optional<std::string> value_after(const fs::path& file, std::string_view key) {
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with(key)) return line.substr(key.size());
  }
  return std::nullopt;
}

// A row such as "VmHWM:   1234 kB", in bytes.
std::uint64_t kilobytes_after(const fs::path& file, std::string_view key) {
  const auto text = value_after(file, key);
  return text ? to_number(*text).value_or(0) * 1024 : 0;
}

// Files hold a number, or the word "max" for no limit.
std::optional<std::uint64_t> number_in(const fs::path& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return to_number(line);
}

// Lowers `facts` by one control group: its limit, and what of that is not taken. Pages of files can be
// dropped and count as free.
void apply_group(MemoryFacts& facts, const fs::path& folder, const char* limit_file, const char* usage_file) {
  const auto limit = number_in(folder / limit_file);
  if (!limit) return;
  facts.total_bytes = std::min(facts.total_bytes, *limit);
  const std::uint64_t used = number_in(folder / usage_file).value_or(0);
  const auto cached = value_after(folder / "memory.stat", "inactive_file ");
  const std::uint64_t held = used - std::min(used, cached ? to_number(*cached).value_or(0) : 0);
  facts.available_bytes = std::min(facts.available_bytes, *limit - std::min(*limit, held));
}

// Applies the group at `path` below `mount` and all groups around it.
void apply_groups(MemoryFacts& facts, const fs::path& mount, const fs::path& path, const char* limit_file,
                  const char* usage_file) {
  fs::path folder = mount;
  apply_group(facts, folder, limit_file, usage_file);
  for (const fs::path& part : path.relative_path()) {
    folder /= part;
    apply_group(facts, folder, limit_file, usage_file);
  }
}

}  // namespace

MemoryFacts memory_facts(const fs::path& root) {
  MemoryFacts facts{.total_bytes = kilobytes_after(root / "proc/meminfo", "MemTotal:"),
                    .available_bytes = kilobytes_after(root / "proc/meminfo", "MemAvailable:")};
  // Lines are "hierarchy:controllers:path"; version 2 has hierarchy 0 and no controllers.
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1));
    const fs::path path = line.substr(second + 1);
    if (controllers == ",,") {
      apply_groups(facts, root / "sys/fs/cgroup", path, "memory.max", "memory.current");
    } else if (controllers.find(",memory,") != std::string::npos) {
      apply_groups(facts, root / "sys/fs/cgroup/memory", path, "memory.limit_in_bytes",
                   "memory.usage_in_bytes");
    }
  }
  return facts;
}

std::uint64_t resident_bytes() {
  return kilobytes_after("/proc/self/status", "VmRSS:");
}

std::uint64_t peak_resident_bytes() {
  return kilobytes_after("/proc/self/status", "VmHWM:");
}

void reset_peak_resident_bytes() {
  std::ofstream("/proc/self/clear_refs") << "5\n";  // proc(5), since Linux 4.0
}

std::string cpu_name() {
  const auto name = value_after("/proc/cpuinfo", "model name");
  if (!name) return "unknown";
  const std::size_t start = name->find_first_not_of("\t :");
  return start == std::string::npos ? "unknown" : name->substr(start);
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace farthing
