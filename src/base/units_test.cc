#include "base/units.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace farthing {
namespace {

TEST(UnitsTest, ReadsSizes) {
  EXPECT_EQ(parse_bytes("512"), 512u);
  EXPECT_EQ(parse_bytes("0"), 0u);
  EXPECT_EQ(parse_bytes("20GiB"), 20ull << 30);
  EXPECT_EQ(parse_bytes("20gib"), 20ull << 30);
  EXPECT_EQ(parse_bytes("1.5 GB"), 1500000000u);
  EXPECT_EQ(parse_bytes("2G"), 2ull << 30);
  EXPECT_EQ(parse_bytes("50%", 1000), 500u);
}

TEST(UnitsTest, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "GiB", "-1", "1e400", "nan", "inf", "12 apples", "50%", "1GiB2", "99999999PiB"}) {
    EXPECT_THROW(parse_bytes(text), Error) << text;
  }
  EXPECT_THROW(parse_bytes("101%", 1000), Error);
}

TEST(UnitsTest, ReadsCounts) {
  EXPECT_EQ(parse_count("2048"), 2048);
  EXPECT_EQ(parse_count("32K"), 32768);
  EXPECT_EQ(parse_count("32k"), 32000);
  EXPECT_EQ(parse_count("25.6k"), 25600);
  EXPECT_THROW(parse_count("1.5"), Error);
  EXPECT_THROW(parse_count("6B"), Error);
}

TEST(UnitsTest, ReadsParameters) {
  EXPECT_EQ(parse_parameters("6B"), 6000000000);
  EXPECT_EQ(parse_parameters("1.1b"), 1100000000);
  EXPECT_EQ(parse_parameters("135M"), 135000000);
}

TEST(UnitsTest, ReadsDurations) {
  EXPECT_EQ(parse_duration("90"), 90);
  EXPECT_EQ(parse_duration("1.5h"), 5400);
  EXPECT_EQ(parse_duration("5m"), 300);
  EXPECT_THROW(parse_duration("5 weeks"), Error);
}

TEST(UnitsTest, WritesSizes) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.0 KiB");
  EXPECT_EQ(format_bytes(5261334938), "4.9 GiB");
  EXPECT_EQ(format_bytes(130ull << 20), "130 MiB");
  EXPECT_EQ(format_bytes((1ull << 30) - 1), "1.0 GiB");
}

TEST(UnitsTest, WritesCountsAndDurations) {
  EXPECT_EQ(format_count(999), "999");
  EXPECT_EQ(format_count(21600000), "21.6M");
  EXPECT_EQ(format_count(6738415616), "6.7B");
  EXPECT_EQ(format_duration(0.84), "0.8s");
  EXPECT_EQ(format_duration(9.96), "10s");
  EXPECT_EQ(format_duration(461), "7m41s");
  EXPECT_EQ(format_duration(7500), "2h05m");
  EXPECT_EQ(format_duration(3 * 86400 + 4 * 3600), "3d04h");
}

}  // namespace
}  // namespace farthing
