#include "kernels/cpu/intrinsics.h"

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#include "kernels/cpu/avx2/vector.h"
#include "kernels/cpu/kernels-inl.h"
#pragma GCC pop_options
