#include "base/nearest_name.h"

#include <gtest/gtest.h>

namespace farthing {
namespace {

TEST(NearestName, FindsTheMisspeltOne) {
  const std::string_view names[] = {"W4A16", "W4A16_ASYM", "FP8_DYNAMIC", "NVFP4"};
  EXPECT_EQ(nearest_name("w4a16", names), "W4A16");
  EXPECT_EQ(nearest_name("W4A61", names), "W4A16");
  EXPECT_EQ(nearest_name("FP8-DYNAMIC", names), "FP8_DYNAMIC");
  EXPECT_EQ(nearest_name("completely different", names), "");
  EXPECT_EQ(nearest_name("", names), "");
  EXPECT_EQ(nearest_name(std::string(100000, 'x'), names), "");
}

}  // namespace
}  // namespace farthing
