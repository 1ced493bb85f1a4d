// U with H^-1 = U^T U. H = R R^T with R upper triangular is a Cholesky factorization that starts in the last
// corner, and U = R^-1. Both are blocked: products in fp32 by the kernels of multiply(), the small triangles
// on the diagonal in double.
#include <cmath>
#include <vector>

#include "kernels/linalg.h"
#include "kernels/product.h"

namespace farthing::kernels {
namespace {

constexpr std::int64_t kTriangle = 64;  // factored at once in double
constexpr std::int64_t kUpdate =
    256;  // columns that one update of the rest subtracts: one block of multiply()
constexpr std::int64_t kInverse = 128;      // columns that are inverted at once
constexpr std::int64_t kInverseRows = 252;  // rows of one product with the triangle that is inverted already

// A square matrix whose upper triangle is worked on in place.
struct UpperMatrix {
  float* data;
  std::int64_t size;
  const KernelTable& table;
  ThreadPool& pool;

  float* at(std::int64_t row, std::int64_t column) const { return data + row * size + column; }
};

// H[0:rows, first:last] -= R[0:rows, from:to] R[first:last, from:to]^T, or only what lies above the diagonal.
void subtract_update(const UpperMatrix& h, std::int64_t rows, std::int64_t first, std::int64_t last,
                     std::int64_t from, std::int64_t to, bool upper) {
  const DensePanels panels =
      pack_panels(h.at(first, from), 1, h.size, last - first, to - from, -1.0f, h.pool);
  multiply(h.table, {.data = h.at(0, from), .row_stride = h.size}, rows, panels.view,
           {.y = h.at(0, first), .y_stride = h.size, .upper = upper}, h.pool);
}

// A triangle on the diagonal, in double and by columns: column c of R is r[c][0 .. c].
struct Triangle {
  double r[kTriangle][kTriangle];
  std::int64_t size;
};

// Factors the triangle that begins at `begin`. Returns -1, or the row of the first bad pivot.
std::int64_t factor_triangle(const UpperMatrix& h, std::int64_t begin, Triangle& t) {
  for (std::int64_t c = 0; c < t.size; ++c) {
    for (std::int64_t i = 0; i <= c; ++i) t.r[c][i] = *h.at(begin + i, begin + c);
  }
  for (std::int64_t c = t.size - 1; c >= 0; --c) {
    double* column = t.r[c];
    if (!(column[c] > 0.0 && std::isfinite(column[c]))) return begin + c;
    column[c] = std::sqrt(column[c]);
    for (std::int64_t i = 0; i < c; ++i) column[i] /= column[c];
    for (std::int64_t l = 0; l < c; ++l) {
      for (std::int64_t i = 0; i <= l; ++i) t.r[l][i] -= column[l] * column[i];
    }
  }
  for (std::int64_t c = 0; c < t.size; ++c) {
    for (std::int64_t i = 0; i <= c; ++i) *h.at(begin + i, begin + c) = static_cast<float>(t.r[c][i]);
  }
  return -1;
}

// Solves X R^T = H for the rows above the triangle, by substitution from the last column.
void solve_above(const UpperMatrix& h, std::int64_t begin, const Triangle& t) {
  h.pool.parallel_for(begin, 64, [&](std::int64_t first, std::int64_t last) {
    double x[kTriangle];
    for (std::int64_t row = first; row < last; ++row) {
      float* values = h.at(row, begin);
      std::copy_n(values, t.size, x);
      for (std::int64_t c = t.size - 1; c >= 0; --c) {
        x[c] /= t.r[c][c];
        for (std::int64_t i = 0; i < c; ++i) x[i] -= x[c] * t.r[c][i];
      }
      std::copy_n(x, t.size, values);
    }
  });
}

std::int64_t factor(const UpperMatrix& h) {
  Triangle triangle;
  for (std::int64_t end = h.size; end > 0;) {
    const std::int64_t begin = std::max<std::int64_t>(0, end - kUpdate);
    for (std::int64_t to = end; to > begin;) {
      const std::int64_t from = std::max(begin, to - kTriangle);
      if (to < end) subtract_update(h, to, from, to, to, end, false);
      triangle.size = to - from;
      const std::int64_t bad_pivot = factor_triangle(h, from, triangle);
      if (bad_pivot >= 0) return bad_pivot;
      solve_above(h, from, triangle);
      to = from;
    }
    if (begin > 0) subtract_update(h, begin, 0, begin, begin, end, true);
    end = begin;
  }
  return -1;
}

// Inverts the triangle [begin, end) in place: u_c = -(U R_c) / r_cc column after column.
void invert_triangle(const UpperMatrix& r, std::int64_t begin, std::int64_t end) {
  const std::int64_t size = end - begin;
  std::vector<double> u(static_cast<std::size_t>(size * size), 0.0);  // by columns
  for (std::int64_t c = 0; c < size; ++c) {
    double* column = u.data() + c * size;
    for (std::int64_t l = 0; l < c; ++l) {
      const double factor = *r.at(begin + l, begin + c);
      for (std::int64_t i = 0; i <= l; ++i) column[i] += factor * u[l * size + i];
    }
    const double pivot = *r.at(begin + c, begin + c);
    for (std::int64_t i = 0; i < c; ++i) column[i] /= -pivot;
    column[c] = 1.0 / pivot;
  }
  for (std::int64_t i = 0; i < size; ++i) {
    for (std::int64_t c = i; c < size; ++c) *r.at(begin + i, begin + c) = static_cast<float>(u[c * size + i]);
  }
}

// With the columns before `begin` inverted, U_ab = -(U_aa R_ab) U_bb.
void invert_columns(const UpperMatrix& r, std::int64_t begin, std::int64_t end) {
  invert_triangle(r, begin, end);
  if (begin == 0) return;
  const std::int64_t width = end - begin;
  std::vector<float> product(static_cast<std::size_t>(begin * width));
  const DensePanels columns = pack_panels(r.at(0, begin), r.size, 1, width, begin, 1.0f, r.pool);
  for (std::int64_t row = 0; row < begin; row += kInverseRows) {
    PanelView from_diagonal = columns.view;  // what is left of the diagonal is zero
    from_diagonal.data += row * kLineBytes;
    from_diagonal.columns = from_diagonal.group_size = begin - row;
    multiply(r.table, {.data = r.at(row, row), .row_stride = r.size}, std::min(kInverseRows, begin - row),
             from_diagonal, {.y = product.data() + row * width, .y_stride = width, .overwrite = true},
             r.pool);
  }
  const DensePanels triangle = pack_panels(r.at(begin, begin), r.size, 1, width, width, -1.0f, r.pool);
  multiply(r.table, {.data = product.data(), .row_stride = width}, begin, triangle.view,
           {.y = r.at(0, begin), .y_stride = r.size, .overwrite = true}, r.pool);
}

}  // namespace

std::int64_t inverse_cholesky_upper(float* matrix, std::int64_t size, ThreadPool& pool) {
  const UpperMatrix upper{matrix, size, kernel_table(active_isa()), pool};
  const std::int64_t bad_pivot = factor(upper);
  if (bad_pivot >= 0) return bad_pivot;
  for (std::int64_t row = 1; row < size; ++row) std::fill_n(upper.at(row, 0), row, 0.0f);
  for (std::int64_t begin = 0; begin < size; begin += kInverse)
    invert_columns(upper, begin, std::min(size, begin + kInverse));
  return -1;
}

}  // namespace farthing::kernels
