// Which instruction set the CPU kernels use. Chosen once at run time; FARTHING_ISA=scalar|avx2|avx512 forces
// a lower one, so that a result can be reproduced on another machine.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace farthing::kernels {

/// Ordered: every machine that runs one runs those before it.
enum class Isa { kScalar, kAvx2, kAvx512 };

std::string_view isa_name(Isa isa);

/// The best set this machine has, or the lower one that FARTHING_ISA names. Throws kInvalidArgument for an
/// unknown name or one that the machine cannot run.
Isa active_isa();

/// All sets this machine can run, kScalar first. The op-table test walks through them.
std::span<const Isa> runnable_isas();

/// While it lives, active_isa() is `isa`, which must be one of runnable_isas(). For tests and benchmarks; not
/// for threads that race with it.
class ForcedIsa {
 public:
  explicit ForcedIsa(Isa isa);
  ~ForcedIsa();
  ForcedIsa(const ForcedIsa&) = delete;
  ForcedIsa& operator=(const ForcedIsa&) = delete;

 private:
  std::optional<Isa> before_;
};

}  // namespace farthing::kernels
