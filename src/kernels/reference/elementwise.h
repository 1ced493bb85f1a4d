// The formulas behind kernels/elementwise.h, in double. The oracle of the table test; never tuned.
#pragma once

#include "kernels/elementwise.h"

namespace farthing::kernels::reference {

void rms_norm(const float* x, std::int64_t rows, std::int64_t columns, const float* weight, float eps,
              float weight_offset, float* y);

void layer_norm(const float* x, std::int64_t rows, std::int64_t columns, const float* weight,
                const float* bias, float eps, float* y);

void activate(Activation activation, float* x, std::int64_t count);

/// One row: gate = f(gate) * up.
void gated_activate(Activation activation, float* gate, const float* up, std::int64_t count);

void add(float* x, const float* y, std::int64_t count);

/// One row of heads; `cosine` and `sine` [rotary_dim / 2].
void rotate(float* x, std::int64_t heads, std::int64_t head_dim, std::int64_t rotary_dim, RotaryStyle style,
            const float* cosine, const float* sine);

double log_sum_exp(const float* x, std::int64_t count, std::int64_t* largest);

}  // namespace farthing::kernels::reference
