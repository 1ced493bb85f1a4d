// What transforms listen for: ranges, means, kept inputs and Gram matrices of groups.
#include "calibrate/channel_collector.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "calibrate/group_gram_collector.h"
#include "calibrate/input_keeper.h"

namespace farthing::calibrate {
namespace {

using testing::ElementsAre;

void see(Listener& listener, const std::string& path, std::int64_t columns, const std::vector<float>& x) {
  listener.inputs({&path, 1}, x.data(), static_cast<std::int64_t>(x.size()) / columns, columns);
}

TEST(ChannelCollector, KeepsRangesAndSizesOfEveryChannel) {
  ThreadPool pool(2);
  ChannelCollector collector({"a"}, 0, pool);
  collector.begin(nn::Batch::of({2}));
  see(collector, "a", 2, {1, -2, 3, 4});
  see(collector, "b", 2, {100, 100, 100, 100});
  collector.begin(nn::Batch::of({1}));
  see(collector, "a", 2, {-5, 0});
  EXPECT_EQ(collector.of("a").tokens, 3);
  EXPECT_THAT(collector.of("a").lowest, ElementsAre(-5, -2));
  EXPECT_THAT(collector.of("a").highest, ElementsAre(3, 4));
  EXPECT_THAT(collector.of("a").absolute_sum, ElementsAre(9, 6));
  EXPECT_EQ(collector.of("b").tokens, 0);
}

TEST(ChannelCollector, HearsTheFirstSequencesOnly) {
  ThreadPool pool(1);
  ChannelCollector collector({"a"}, 2, pool);
  collector.begin(nn::Batch::of({1}));
  see(collector, "a", 1, {1});
  collector.begin(nn::Batch::of({2, 1}));
  see(collector, "a", 1, {2, 3, 100});
  collector.begin(nn::Batch::of({1}));
  see(collector, "a", 1, {100});
  EXPECT_EQ(collector.of("a").tokens, 3);
  EXPECT_THAT(collector.of("a").highest, ElementsAre(3));
}

TEST(InputKeeper, KeepsTheWantedBatches) {
  InputKeeper keeper({"a"}, true, {false, true});
  for (const float first : {1.0f, 5.0f}) {
    const float hidden[] = {first, first + 1};
    keeper.begin(nn::Batch::of({1}));
    keeper.block_input(hidden, 1, 2);
    see(keeper, "a", 2, {first + 2, first + 3});
    see(keeper, "b", 2, {0, 0});
  }
  ASSERT_EQ(keeper.of("a").size(), 1u);
  EXPECT_EQ(keeper.of("a")[0].batch, 1u);
  EXPECT_THAT(keeper.of("a")[0].x.span<float>(), ElementsAre(7, 8));
  ASSERT_EQ(keeper.of_block().size(), 1u);
  EXPECT_THAT(keeper.of_block()[0].x.span<float>(), ElementsAre(5, 6));
  EXPECT_TRUE(keeper.of("b").empty());
}

// Rows 0, 2, 4 ... over all passes, whatever their lengths.
TEST(GroupGramCollector, SumsEveryOtherRowInsideEachGroup) {
  ThreadPool pool(2);
  GroupGramCollector collector({{"a", 2}}, 2, pool);
  see(collector, "a", 4, {1, 2, 3, 4, /**/ 9, 9, 9, 9, /**/ 1, 0, 0, 1});
  see(collector, "a", 4, {9, 9, 9, 9, /**/ 0, 1, 1, 1});
  const Tensor grams = collector.of("a");
  EXPECT_EQ(grams.shape(), Shape({2, 2, 2}));
  EXPECT_THAT(grams.span<float>(), ElementsAre(2, 2, 2, 5, /**/ 10, 13, 13, 18));
  EXPECT_FALSE(collector.of("b").defined());
}

}  // namespace
}  // namespace farthing::calibrate
