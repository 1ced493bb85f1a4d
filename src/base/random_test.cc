// The expected numbers come from CPython 3's random module and from NumPy 2.4.
#include "base/random.h"

#include <numeric>

#include <gtest/gtest.h>

#include "base/error.h"

namespace farthing {
namespace {

using Values = std::vector<std::int64_t>;

TEST(Mt19937Test, DrawsWhatPythonDraws) {
  Mt19937 random(42);
  EXPECT_EQ(random.getrandbits(32), 2746317213u);
  EXPECT_EQ(random.getrandbits(32), 478163327u);
  EXPECT_EQ(random.getrandbits(32), 107420369u);
  EXPECT_EQ(random.getrandbits(64), 5073395517033431291u);
  EXPECT_EQ(random.getrandbits(7), 31u);
  EXPECT_EQ(random.random(), 0.22321073814882275);
  for (const std::int64_t expected : {754, 104, 692, 758, 913, 558})
    EXPECT_EQ(random.randint(0, 999), expected);
  for (const std::int64_t expected : {0, 4, 3, 0}) EXPECT_EQ(random.randrange(7), expected);
  Values order(10);
  std::iota(order.begin(), order.end(), 0);
  random.shuffle(order);
  EXPECT_EQ(order, (Values{6, 7, 2, 9, 5, 4, 8, 3, 1, 0}));
  EXPECT_EQ(random.sample(10, 4), (Values{8, 6, 3, 7}));
  EXPECT_EQ(random.sample(1000, 8), (Values{603, 284, 828, 890, 6, 777, 825, 163}));
  EXPECT_EQ(random.sample(30, 6), (Values{22, 13, 10, 8, 4, 6}));
}

TEST(Mt19937Test, TakesSeedsOfTwoWords) {
  Mt19937 random(0x123456789abcdef);
  EXPECT_EQ(random.getrandbits(32), 3851240871u);
  EXPECT_EQ(random.random(), 0.34848402733510764);
}

TEST(Mt19937Test, SurvivesARefill) {
  Mt19937 random;
  for (int i = 0; i < 1000; ++i) random.next();
  EXPECT_EQ(random.next(), 126175447u);
}

TEST(Mt19937Test, RefusesEmptyRanges) {
  Mt19937 random(7);
  EXPECT_EQ(random.randint(-5, 5), 0);
  EXPECT_THROW(random.randint(2, 1), Error);
  EXPECT_THROW(random.randint(INT64_MIN, INT64_MAX), Error);
  EXPECT_THROW(random.randrange(0), Error);
  EXPECT_THROW(random.sample(3, 4), Error);
  EXPECT_TRUE(random.sample(3, 0).empty());
}

TEST(NumpyPermutationTest, EqualsDefaultRng) {
  EXPECT_EQ(numpy_permutation(42, 10), (Values{5, 6, 0, 7, 3, 2, 4, 9, 1, 8}));
  EXPECT_EQ(numpy_permutation(0, 5), (Values{2, 4, 3, 0, 1}));
  EXPECT_EQ(numpy_permutation((1ull << 40) + 3, 12), (Values{2, 4, 10, 9, 6, 5, 3, 7, 11, 0, 8, 1}));
  EXPECT_EQ(numpy_permutation(42, 1), (Values{0}));
  EXPECT_TRUE(numpy_permutation(42, 0).empty());
  EXPECT_THROW(numpy_permutation(42, -1), Error);
}

TEST(NumpyPermutationTest, EqualsDefaultRngOverALongRange) {
  const Values order = numpy_permutation(42, 200000);
  std::uint64_t checksum = 0;
  for (std::size_t i = 0; i < order.size(); ++i) checksum += i * static_cast<std::uint64_t>(order[i]);
  EXPECT_EQ(checksum, 1996545050322960u);
}

}  // namespace
}  // namespace farthing
