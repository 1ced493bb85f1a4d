#include <cmath>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "kernels/isa.h"
#include "kernels/linalg.h"
#include "kernels/reference/linalg.h"

namespace farthing::kernels {
namespace {

// x^T x of `rows` random rows whose columns differ in size by `spread`, with a damped diagonal.
std::vector<float> random_hessian(std::int64_t size, std::int64_t rows, double spread, double damp) {
  std::mt19937 generator(3);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<std::size_t>(rows * size));
  for (std::int64_t i = 0; i < rows * size; ++i) {
    const double width = std::pow(spread, static_cast<double>(i % size) / static_cast<double>(size));
    x[i] = normal(generator) * static_cast<float>(width) + 0.2f * (i % size == 0 ? 0.0f : x[i - 1]);
  }
  std::vector<float> h(static_cast<std::size_t>(size * size), 0.0f);
  ThreadPool pool(1);
  accumulate_gram(x.data(), rows, size, 2.0f / static_cast<float>(rows), h.data(), pool);
  symmetrize(h.data(), size, pool);
  double mean = 0.0;
  for (std::int64_t i = 0; i < size; ++i) mean += h[i * size + i] / static_cast<double>(size);
  for (std::int64_t i = 0; i < size; ++i) h[i * size + i] += static_cast<float>(damp * mean);
  return h;
}

// Largest element of |U^T U H - I|.
double residual(const std::vector<float>& u, const std::vector<float>& h, std::int64_t n) {
  std::vector<double> uh(static_cast<std::size_t>(n * n), 0.0), product(uh);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t l = i; l < n; ++l) {
      for (std::int64_t j = 0; j < n; ++j) uh[i * n + j] += static_cast<double>(u[i * n + l]) * h[l * n + j];
    }
  }
  double worst = 0.0;
  for (std::int64_t i = 0; i < n; ++i) {
    std::vector<double> row(static_cast<std::size_t>(n), 0.0);
    for (std::int64_t l = 0; l <= i; ++l) {
      for (std::int64_t j = 0; j < n; ++j) row[j] += static_cast<double>(u[l * n + i]) * uh[l * n + j];
    }
    for (std::int64_t j = 0; j < n; ++j) worst = std::max(worst, std::fabs(row[j] - (i == j ? 1.0 : 0.0)));
  }
  return worst;
}

TEST(InverseCholesky, InvertsAndIsUpperTriangular) {
  for (const std::int64_t size : {1, 2, 17, 64, 65, 128, 200, 257, 390}) {
    SCOPED_TRACE(size);
    const std::vector<float> h = random_hessian(size, 2 * size, 10.0, 0.01);
    std::vector<float> exact = h, first;
    ASSERT_EQ(reference::inverse_cholesky_upper(exact.data(), size), -1);
    const double bound = 10.0 * residual(exact, h, size) + 1e-4;  // what rounding U to fp32 costs
    for (const Isa isa : runnable_isas()) {
      const ForcedIsa forced(isa);
      SCOPED_TRACE(isa_name(isa));
      first.clear();
      for (const int threads : {1, 2, 5}) {
        ThreadPool pool(threads);
        std::vector<float> u = h;
        ASSERT_EQ(inverse_cholesky_upper(u.data(), size, pool), -1);
        if (first.empty()) first = u;
        EXPECT_EQ(std::memcmp(first.data(), u.data(), u.size() * sizeof(float)), 0) << threads << " threads";
      }
      EXPECT_LT(residual(first, h, size), bound);
      for (std::int64_t i = 0; i < size; ++i) {
        EXPECT_GT(first[i * size + i], 0.0f);
        for (std::int64_t j = 0; j < i; ++j) ASSERT_EQ(first[i * size + j], 0.0f);
      }
    }
  }
}

TEST(InverseCholesky, SurvivesBadConditioning) {
  // Columns from 1 to 1000 and little damping: a condition number near 10^6, where fp32 has one digit left.
  constexpr std::int64_t kSize = 300;
  const std::vector<float> h = random_hessian(kSize, kSize, 1000.0, 1e-6);
  std::vector<float> exact = h;
  ASSERT_EQ(reference::inverse_cholesky_upper(exact.data(), kSize), -1);
  for (const Isa isa : runnable_isas()) {
    const ForcedIsa forced(isa);
    ThreadPool pool(2);
    std::vector<float> u = h;
    ASSERT_EQ(inverse_cholesky_upper(u.data(), kSize, pool), -1) << isa_name(isa);
    for (std::int64_t i = 0; i < kSize; ++i)
      ASSERT_NEAR(u[i * kSize + i] / exact[i * kSize + i], 1.0, 0.1) << i;
  }
}

TEST(InverseCholesky, ReportsTheFirstBadPivot) {
  for (const Isa isa : runnable_isas()) {
    const ForcedIsa forced(isa);
    ThreadPool pool(2);
    for (const std::int64_t bad : {0, 3, 100, 250, 299}) {
      for (const float value : {0.0f, -1.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
        std::vector<float> h = random_hessian(300, 600, 2.0, 0.1);
        h[bad * 300 + bad] = value;
        EXPECT_EQ(inverse_cholesky_upper(h.data(), 300, pool), bad) << isa_name(isa) << " " << value;
      }
    }
    std::vector<float> ones(64 * 64, 1.0f);  // rank one
    EXPECT_EQ(inverse_cholesky_upper(ones.data(), 64, pool), 62);
  }
}

TEST(InverseCholesky, NaNAwayFromTheDiagonalIsFound) {
  ThreadPool pool(2);
  for (const Isa isa : runnable_isas()) {
    const ForcedIsa forced(isa);
    std::vector<float> h = random_hessian(150, 300, 2.0, 0.1);
    h[20 * 150 + 130] = h[130 * 150 + 20] = std::nanf("");
    EXPECT_GE(inverse_cholesky_upper(h.data(), 150, pool), 0) << isa_name(isa);
  }
}

TEST(InverseCholesky, EmptyMatrix) {
  ThreadPool pool(1);
  EXPECT_EQ(inverse_cholesky_upper(nullptr, 0, pool), -1);
}

TEST(Symmetrize, CopiesTheUpperTriangle) {
  for (const std::int64_t size : {1, 5, 32, 33, 100}) {
    std::vector<float> matrix(static_cast<std::size_t>(size * size));
    for (std::int64_t i = 0; i < size * size; ++i) matrix[i] = static_cast<float>(i);
    ThreadPool pool(2);
    symmetrize(matrix.data(), size, pool);
    for (std::int64_t i = 0; i < size; ++i) {
      for (std::int64_t j = 0; j < size; ++j)
        ASSERT_EQ(matrix[i * size + j], static_cast<float>(std::min(i, j) * size + std::max(i, j)));
    }
  }
}

}  // namespace
}  // namespace farthing::kernels
