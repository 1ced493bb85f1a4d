// farthing doctor: what this machine is and what stands in the way.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <numeric>

#include <fmt/format.h>

#include "base/system.h"
#include "base/units.h"
#include "cli/bandwidth.h"
#include "cli/commands.h"
#include "kernels/device.h"
#include "kernels/isa.h"

namespace farthing::cli {
namespace {

struct Feature {
  std::string_view name;
  bool present;
};

// The instruction sets that matter for matrix products, by the names of /proc/cpuinfo.
std::vector<std::string_view> cpu_features() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const std::array<Feature, 8> features = {{
      {"avx2", __builtin_cpu_supports("avx2") != 0},
      {"fma", __builtin_cpu_supports("fma") != 0},
      {"avx512f", __builtin_cpu_supports("avx512f") != 0},
      {"avx512bw", __builtin_cpu_supports("avx512bw") != 0},
      {"avx512vl", __builtin_cpu_supports("avx512vl") != 0},
      {"avx512_vnni", __builtin_cpu_supports("avx512vnni") != 0},
      {"avx512_bf16", __builtin_cpu_supports("avx512bf16") != 0},
      {"avx512_vbmi", __builtin_cpu_supports("avx512vbmi") != 0},
  }};
  std::vector<std::string_view> present;
  for (const Feature& feature : features) {
    if (feature.present) present.push_back(feature.name);
  }
  return present;
#else
  return {};
#endif
}

std::vector<std::string> problems(const MemoryFacts& memory) {
  std::vector<std::string> found;
  if (kernels::runnable_isas().back() == kernels::Isa::kScalar) {
    found.emplace_back("no AVX2: the scalar kernels are correct but slow");
  } else if (kernels::active_isa() != kernels::runnable_isas().back()) {
    found.push_back(fmt::format("FARTHING_ISA holds the kernels at {}; this machine runs {}",
                                kernels::isa_name(kernels::active_isa()),
                                kernels::isa_name(kernels::runnable_isas().back())));
  }
  if (kernels::built_with_cuda() && kernels::list_accelerators().empty()) {
    found.emplace_back("built with CUDA, but no GPU can be used: check nvidia-smi and CUDA_VISIBLE_DEVICES");
  }
  if (memory.available_bytes < std::uint64_t{1} << 30) {
    found.push_back(fmt::format("only {} of memory are free", format_bytes(memory.available_bytes)));
  }
  return found;
}

int doctor(App& app) {
  const MemoryFacts memory = memory_facts();
  const double bandwidth = read_bandwidth(app.threads(), memory.available_bytes);
  const auto devices = kernels::list_accelerators();
  const auto found = problems(memory);
  if (app.json()) {
    Json list = Json::array();
    for (const auto& device : devices) {
      list.push_back(
          {{"name", device.name}, {"index", device.device.index}, {"memory_bytes", device.memory_bytes}});
    }
    app.write_json({{"version", FARTHING_VERSION},
                    {"cpu", cpu_name()},
                    {"cores", usable_cores()},
                    {"isa", cpu_features()},
                    {"kernels", kernels::isa_name(kernels::active_isa())},
                    {"memory_bytes", memory.total_bytes},
                    {"memory_available_bytes", memory.available_bytes},
                    {"bandwidth_gbps", bandwidth / 1e9},
                    {"cuda", kernels::built_with_cuda()},
                    {"devices", list},
                    {"problems", found}});
    return kDone;
  }
  std::string devices_text;
  for (const auto& device : devices) {
    devices_text += fmt::format("{}cuda:{} {}, {}", devices_text.empty() ? "" : "; ", device.device.index,
                                device.name, format_bytes(static_cast<std::uint64_t>(device.memory_bytes)));
  }
  if (devices.empty()) devices_text = kernels::built_with_cuda() ? "none" : "none (built without CUDA)";
  std::string answer = fmt::format(
      "farthing    {}\ncpu         {}, {} usable cores\nisa         {}\nkernels     {}\n"
      "memory      {}, {} available\nbandwidth   {:.1f} GB/s read\ndevices     {}\n",
      FARTHING_VERSION, cpu_name(), usable_cores(), fmt::join(cpu_features(), " "),
      kernels::isa_name(kernels::active_isa()), format_bytes(memory.total_bytes),
      format_bytes(memory.available_bytes), bandwidth / 1e9, devices_text);
  for (const std::string& problem : found) answer += fmt::format("problem     {}\n", problem);
  if (found.empty()) answer += "problems    none\n";
  app.write(answer);
  return kDone;
}

}  // namespace

void add_doctor(App& app) {
  app.command("doctor", "what this machine is and what stands in the way")
      .example("farthing doctor")
      .example("farthing doctor --json > machine.json")
      .body([&app] { return doctor(app); });
}

}  // namespace farthing::cli
