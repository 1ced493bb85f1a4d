// Norms, activations and rotations: the ops between the matrix products. All on fp32 rows, in place where
// noted.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"

namespace farthing::kernels {

/// y = x / sqrt(mean(x^2) + eps) * (weight + weight_offset), per row of `columns`. weight_offset is 1 for
/// Gemma, whose files store the distance from 1. `weight` may be null (all ones). x and y may be the same.
void rms_norm(const float* x, std::int64_t rows, std::int64_t columns, const float* weight, float eps,
              float weight_offset, float* y, ThreadPool& pool);

/// y = (x - mean) / sqrt(var + eps) * weight + bias, biased variance. `weight` and `bias` may be null. x and
/// y may be the same.
void layer_norm(const float* x, std::int64_t rows, std::int64_t columns, const float* weight,
                const float* bias, float eps, float* y, ThreadPool& pool);

/// The names of config.json: gelu (erf), gelu_new = gelu_pytorch_tanh, quick_gelu, silu, relu, relu2 (its
/// square).
enum class Activation { kNone, kGelu, kGeluTanh, kQuickGelu, kSilu, kRelu, kReluSquared };

/// x = f(x), in place.
void activate(Activation activation, float* x, std::int64_t count, ThreadPool& pool);

/// gate = f(gate) * up, in place; row strides allow both to live in one fused product [rows, 2 * columns].
void gated_activate(Activation activation, float* gate, std::int64_t gate_stride, const float* up,
                    std::int64_t up_stride, std::int64_t rows, std::int64_t columns, ThreadPool& pool);

/// x += y.
void add(float* x, const float* y, std::int64_t count, ThreadPool& pool);

/// How a rotary embedding pairs the elements of a head: kHalves pairs i with i + d/2 (NeoX, Llama),
/// kNeighbours pairs 2i with 2i + 1 (GPT-J, Cohere).
enum class RotaryStyle { kHalves, kNeighbours };

/// Rotates the first `rotary_dim` elements of every head of every row, in place. `x` [rows, heads, head_dim]
/// with `row_stride` floats from row to row; `cosine` and `sine` [rows, rotary_dim / 2].
void rotate(float* x, std::int64_t rows, std::int64_t row_stride, std::int64_t heads, std::int64_t head_dim,
            std::int64_t rotary_dim, RotaryStyle style, const float* cosine, const float* sine,
            ThreadPool& pool);

/// Returns log(sum(exp(x))) of one row, accurately; `largest` receives the index of the largest element (the
/// lowest on ties).
double log_sum_exp(const float* x, std::int64_t count, std::int64_t* largest);

}  // namespace farthing::kernels
