#include "kernels/cpu/intrinsics.h"
#include "kernels/row_tiles.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#include "kernels/cpu/avx2/vector.h"
#include "kernels/cpu/product-inl.h"
#pragma GCC pop_options

namespace farthing::kernels::avx2 {

extern const KernelTable kTable;
const KernelTable kTable{
    .isa = Isa::kAvx2,
    .tile_rows = kTileRows,
    .pack_rows = pack_rows,
    .multiply = multiply,
};

}  // namespace farthing::kernels::avx2
