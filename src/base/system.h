// What the machine has and what this process uses of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace farthing {

struct MemoryFacts {
  std::uint64_t total_bytes = 0;      // of the machine, or of the container when its limit is lower
  std::uint64_t available_bytes = 0;  // what can still be taken without swapping
};

/// Reads /proc/meminfo and the limits of the control groups (version 1 and 2) that this process lives in.
/// `root` stands for "/". What cannot be read counts as no limit; all zeros when nothing can.
MemoryFacts memory_facts(const std::filesystem::path& root = "/");

/// Resident memory of this process now, and the most it ever had. 0 when not known.
std::uint64_t resident_bytes();
std::uint64_t peak_resident_bytes();

/// Lets the peak count from now on, where the system allows it.
void reset_peak_resident_bytes();

/// The processor as its maker calls it; "unknown" when not known.
std::string cpu_name();

/// Cores that this process may run on.
int usable_cores();

}  // namespace farthing
