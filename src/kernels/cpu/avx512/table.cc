#include "kernels/cpu/intrinsics.h"
#include "kernels/row_tiles.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#include "kernels/cpu/avx512/vector.h"
#include "kernels/cpu/product-inl.h"
#pragma GCC pop_options

namespace farthing::kernels::avx512 {

extern const KernelTable kTable;
const KernelTable kTable{
    .isa = Isa::kAvx512,
    .tile_rows = kTileRows,
    .pack_rows = pack_rows,
    .multiply = multiply,
};

}  // namespace farthing::kernels::avx512
