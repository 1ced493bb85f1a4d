// All kernels of one instruction set, and their table.
#pragma once

#include "kernels/cpu/attention-inl.h"
#include "kernels/cpu/elementwise-inl.h"
#include "kernels/cpu/product-inl.h"

namespace farthing::kernels::FARTHING_ISA_NAMESPACE {

extern const KernelTable kTable;
// NOLINTNEXTLINE(misc-definitions-in-headers): one source per instruction set includes this.
const KernelTable kTable{
    .isa = kIsa,
    .tile_rows = kTileRows,
    .pack_rows = pack_rows,
    .multiply = multiply,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .activate = activate,
    .gated_activate = gated_activate,
    .add = add,
    .rotate = rotate,
    .log_sum_exp = log_sum_exp,
    .pack_key_block = pack_key_block,
    .attend_packed = attend_packed,
    .attend_keys = attend_keys,
};

}  // namespace farthing::kernels::FARTHING_ISA_NAMESPACE
