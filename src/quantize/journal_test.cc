// A journal remembers across processes, belongs to one run, and never passes off damage as progress.
#include "quantize/journal.h"

#include <gtest/gtest.h>

#include "checkpoint/test_files.h"

namespace farthing::quantize {
namespace {

using checkpoint::expect_error;

class JournalTest : public testing::Test {
 protected:
  Journal open(const std::string& fingerprint = "abc") const { return Journal(folder_.path(), fingerprint); }

  const checkpoint::TemporaryFolder folder_;
  const std::filesystem::path file_ = folder_ / "journal.json";
};

TEST_F(JournalTest, RemembersFinishedBlocks) {
  EXPECT_TRUE(open().empty());
  {
    Journal journal = open();
    EXPECT_FALSE(std::filesystem::exists(file_)) << "nothing is finished yet";
    journal.note("layers.0", {{"layers", {1, 2}}});
    journal.note("layers.1", {{"error", 0.25}});
  }
  Journal again = open();
  EXPECT_FALSE(again.empty());
  ASSERT_NE(again.find("layers.0"), nullptr);
  EXPECT_EQ(*again.find("layers.0"), (Json{{"layers", {1, 2}}}));
  EXPECT_EQ(again.find("layers.1")->at("error"), 0.25);
  EXPECT_EQ(again.find("layers.2"), nullptr);
  again.note("layers.2", {});
  EXPECT_NE(open().find("layers.0"), nullptr) << "a resumed run keeps what was there";
  again.remove();
  EXPECT_TRUE(open().empty());
  EXPECT_FALSE(std::filesystem::exists(file_));
}

TEST_F(JournalTest, RefusesAnotherRun) {
  open().note("layers.0", {});
  expect_error(Code::kInvalidArgument, {"other settings", "--no-resume"}, [&] { open("abd"); });
  EXPECT_NE(open().find("layers.0"), nullptr) << "the refusal must not cost the unfinished run its progress";
}

// A crash while the next state was being written leaves a temporary file beside the journal and no harm.
TEST_F(JournalTest, AHalfWrittenSuccessorChangesNothing) {
  open().note("layers.0", {});
  const std::string text = read_text(file_);
  std::ofstream(file_.string() + ".tmp") << text.substr(0, text.size() / 2);
  EXPECT_NE(open().find("layers.0"), nullptr);
  open().note("layers.1", {});
  EXPECT_NE(open().find("layers.1"), nullptr);
}

TEST_F(JournalTest, DamageIsAnErrorWithAWayOut) {
  open().note("layers.0", {{"layers", {1, 2}}});
  const std::string text = read_text(file_);
  for (const std::string& damaged :
       {text.substr(0, text.size() - 3), std::string(), std::string("[]"), std::string("{}"),
        std::string(R"({"fingerprint": "abc"})"), std::string(R"({"fingerprint": "abc", "blocks": 3})")}) {
    SCOPED_TRACE(damaged);
    std::ofstream(file_) << damaged;
    expect_error(Code::kCorruptData, {"journal.json", "--no-resume"}, [&] { open(); });
  }
  std::ofstream(file_) << R"({"fingerprint": 3, "blocks": {}})";
  expect_error(Code::kInvalidArgument, {"--no-resume"}, [&] { open(); });
}

}  // namespace
}  // namespace farthing::quantize
