#include "base/cancel.h"

#include <csignal>

#include <gtest/gtest.h>

#include "base/error.h"

namespace farthing {
namespace {

TEST(CancelTokenTest, FirstSignalCounts) {
  CancelToken cancel;
  EXPECT_NO_THROW(cancel.check());
  cancel.request(SIGTERM);
  cancel.request(SIGINT);
  EXPECT_TRUE(cancel.requested());
  EXPECT_EQ(cancel.exit_code(), 143);
  try {
    cancel.check();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kCancelled);
  }
}

TEST(CancelTokenTest, InterruptIs130) {
  CancelToken cancel;
  cancel.request(SIGINT);
  EXPECT_EQ(cancel.exit_code(), 130);
}

}  // namespace
}  // namespace farthing
