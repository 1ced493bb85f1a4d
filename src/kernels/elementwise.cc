#include "kernels/elementwise.h"

#include "kernels/kernel_table.h"

namespace farthing::kernels {
namespace {

// A piece of this many elements is worth a thread: some ten microseconds.
constexpr std::int64_t kPieceElements = 1 << 14;

std::int64_t rows_of_piece(std::int64_t columns) {
  return kPieceElements / std::max<std::int64_t>(1, columns) + 1;
}

}  // namespace

void rms_norm(const float* x, std::int64_t rows, std::int64_t columns, const float* weight, float eps,
              float weight_offset, float* y, ThreadPool& pool) {
  const KernelTable& table = kernel_table(active_isa());
  pool.parallel_for(rows, rows_of_piece(columns), [&](std::int64_t begin, std::int64_t end) {
    table.rms_norm(x + begin * columns, end - begin, columns, weight, eps, weight_offset,
                   y + begin * columns);
  });
}

void layer_norm(const float* x, std::int64_t rows, std::int64_t columns, const float* weight,
                const float* bias, float eps, float* y, ThreadPool& pool) {
  const KernelTable& table = kernel_table(active_isa());
  pool.parallel_for(rows, rows_of_piece(columns), [&](std::int64_t begin, std::int64_t end) {
    table.layer_norm(x + begin * columns, end - begin, columns, weight, bias, eps, y + begin * columns);
  });
}

void activate(Activation activation, float* x, std::int64_t count, ThreadPool& pool) {
  const KernelTable& table = kernel_table(active_isa());
  pool.parallel_for(count, kPieceElements, [&](std::int64_t begin, std::int64_t end) {
    table.activate(activation, x + begin, end - begin);
  });
}

void gated_activate(Activation activation, float* gate, std::int64_t gate_stride, const float* up,
                    std::int64_t up_stride, std::int64_t rows, std::int64_t columns, ThreadPool& pool) {
  const KernelTable& table = kernel_table(active_isa());
  pool.parallel_for(rows, rows_of_piece(columns), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      table.gated_activate(activation, gate + row * gate_stride, up + row * up_stride, columns);
    }
  });
}

void add(float* x, const float* y, std::int64_t count, ThreadPool& pool) {
  const KernelTable& table = kernel_table(active_isa());
  pool.parallel_for(count, 4 * kPieceElements, [&](std::int64_t begin, std::int64_t end) {
    table.add(x + begin, y + begin, end - begin);
  });
}

void rotate(float* x, std::int64_t rows, std::int64_t row_stride, std::int64_t heads, std::int64_t head_dim,
            std::int64_t rotary_dim, RotaryStyle style, const float* cosine, const float* sine,
            ThreadPool& pool) {
  const KernelTable& table = kernel_table(active_isa());
  const std::int64_t half = rotary_dim / 2;
  pool.parallel_for(rows, rows_of_piece(heads * rotary_dim), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      table.rotate(x + row * row_stride, heads, head_dim, rotary_dim, style, cosine + row * half,
                   sine + row * half);
    }
  });
}

double log_sum_exp(const float* x, std::int64_t count, std::int64_t* largest) {
  return kernel_table(active_isa()).log_sum_exp(x, count, largest);
}

}  // namespace farthing::kernels
