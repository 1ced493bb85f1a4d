// Everything that the -inl.h files of this folder use. The .cc files of cpu/avx2 and cpu/avx512 include their
// other headers first, then open the target region, then include vector.h and the -inl.h files: only what
// those define is compiled for the instruction set, in a namespace of its own, so that no inline function of
// a shared header can end up with instructions that another machine lacks.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <immintrin.h>

#include "kernels/kernel_table.h"
#include "kernels/row_tiles.h"
