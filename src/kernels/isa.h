// Which instruction set the CPU kernels use. Chosen once at run time; FARTHING_ISA=scalar|avx2|avx512 forces a lower one,
// so that a result can be reproduced on another machine.
#pragma once

#include <span>
#include <string_view>

namespace farthing::kernels {

/// Ordered: every machine that runs one runs those before it.
enum class Isa { kScalar, kAvx2, kAvx512 };

std::string_view isa_name(Isa isa);

/// The best set this machine has, or the lower one that FARTHING_ISA names. Throws kInvalidArgument for an unknown
/// name or one that the machine cannot run.
Isa active_isa();

/// All sets this machine can run, kScalar first. The op-table test walks through them.
std::span<const Isa> runnable_isas();

}  // namespace farthing::kernels
