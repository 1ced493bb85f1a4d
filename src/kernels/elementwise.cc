#include "kernels/elementwise.h"

#include "kernels/reference/elementwise.h"

namespace farthing::kernels {

void rms_norm(const float* x, std::int64_t rows, std::int64_t columns, const float* weight, float eps,
              float weight_offset, float* y, ThreadPool& pool) {
  pool.parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    reference::rms_norm(x + begin * columns, end - begin, columns, weight, eps, weight_offset,
                        y + begin * columns);
  });
}

void layer_norm(const float* x, std::int64_t rows, std::int64_t columns, const float* weight,
                const float* bias, float eps, float* y, ThreadPool& pool) {
  pool.parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    reference::layer_norm(x + begin * columns, end - begin, columns, weight, bias, eps, y + begin * columns);
  });
}

void activate(Activation activation, float* x, std::int64_t count, ThreadPool& pool) {
  pool.parallel_for(count, 4096, [&](std::int64_t begin, std::int64_t end) {
    reference::activate(activation, x + begin, end - begin);
  });
}

void gated_activate(Activation activation, float* gate, std::int64_t gate_stride, const float* up,
                    std::int64_t up_stride, std::int64_t rows, std::int64_t columns, ThreadPool& pool) {
  pool.parallel_for(rows, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      reference::gated_activate(activation, gate + row * gate_stride, up + row * up_stride, columns);
    }
  });
}

void add(float* x, const float* y, std::int64_t count, ThreadPool& pool) {
  pool.parallel_for(count, 1 << 16, [&](std::int64_t begin, std::int64_t end) {
    reference::add(x + begin, y + begin, end - begin);
  });
}

void rotate(float* x, std::int64_t rows, std::int64_t row_stride, std::int64_t heads, std::int64_t head_dim,
            std::int64_t rotary_dim, RotaryStyle style, const float* cosine, const float* sine,
            ThreadPool& pool) {
  const std::int64_t half = rotary_dim / 2;
  pool.parallel_for(rows, 16, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      reference::rotate(x + row * row_stride, heads, head_dim, rotary_dim, style, cosine + row * half,
                        sine + row * half);
    }
  });
}

double log_sum_exp(const float* x, std::int64_t count, std::int64_t* largest) {
  return reference::log_sum_exp(x, count, largest);
}

}  // namespace farthing::kernels
