#include "kernels/isa.h"

#include <array>
#include <cstdlib>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/error.h"

namespace farthing::kernels {
namespace {

std::optional<Isa> forced_isa;

constexpr std::array kAllIsas{Isa::kScalar, Isa::kAvx2, Isa::kAvx512};

#if defined(__x86_64__)
// Asked of the processor itself: clang's builtin does not know the word.
bool has_f16c() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & bit_F16C) != 0;
}
#endif

bool runs_here(Isa isa) {
#if defined(__x86_64__)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
  if (isa == Isa::kAvx2) return avx2;
  if (isa == Isa::kAvx512)
    return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
#endif
  return isa == Isa::kScalar;
}

Isa choose_isa() {
  const Isa best = runnable_isas().back();
  const char* forced = std::getenv("FARTHING_ISA");
  if (forced == nullptr || *forced == '\0') return best;
  for (const Isa isa : kAllIsas) {
    if (isa_name(isa) != forced) continue;
    FARTHING_REQUIRE(isa <= best, Code::kInvalidArgument,
                     "this machine cannot run the instruction set of FARTHING_ISA",
                     {{"asked", forced}, {"best", isa_name(best)}}, "unset FARTHING_ISA");
    return isa;
  }
  throw Error(Code::kInvalidArgument, "FARTHING_ISA names no instruction set", {{"value", forced}},
              "use scalar, avx2 or avx512, or unset it");
}

}  // namespace

std::string_view isa_name(Isa isa) {
  constexpr std::array<std::string_view, 3> kNames{"scalar", "avx2", "avx512"};
  return kNames[static_cast<std::size_t>(isa)];
}

std::span<const Isa> runnable_isas() {
  static const std::size_t count = [] {
    std::size_t n = 0;
    while (n < kAllIsas.size() && runs_here(kAllIsas[n])) ++n;
    return n;
  }();
  return std::span(kAllIsas).first(count);
}

Isa active_isa() {
  static const Isa isa = choose_isa();
  return forced_isa.value_or(isa);
}

ForcedIsa::ForcedIsa(Isa isa) : before_(forced_isa) {
  FARTHING_CHECK(isa <= runnable_isas().back());
  forced_isa = isa;
}

ForcedIsa::~ForcedIsa() {
  forced_isa = before_;
}

}  // namespace farthing::kernels
