#include "kernels/cpu/intrinsics.h"

#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512dq,avx2,fma,f16c")
#include "kernels/cpu/avx512/vector.h"
#include "kernels/cpu/kernels-inl.h"
#pragma GCC pop_options
