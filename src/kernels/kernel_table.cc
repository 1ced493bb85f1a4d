#include "kernels/kernel_table.h"

#include "base/error.h"

namespace farthing::kernels {

namespace scalar {
extern const KernelTable kTable;
}
namespace avx2 {
extern const KernelTable kTable;
}
namespace avx512 {
extern const KernelTable kTable;
}

const KernelTable& kernel_table(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return scalar::kTable;
    case Isa::kAvx2:
      return avx2::kTable;
    case Isa::kAvx512:
      return avx512::kTable;
  }
  throw Error(Code::kInternal, "no kernels for this instruction set", {{"isa", static_cast<int>(isa)}});
}

}  // namespace farthing::kernels
