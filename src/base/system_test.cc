#include "base/system.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"

namespace farthing {
namespace {

namespace fs = std::filesystem;

// A made-up root folder with the files that memory_facts() reads.
class SystemTest : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / fmt::format("farthing-system-{}", ::getpid());
    write("proc/meminfo", "MemTotal:       16000 kB\nMemFree:  100 kB\nMemAvailable:    9000 kB\n");
  }
  void TearDown() override { fs::remove_all(root_); }

  void write(const std::string& name, const std::string& text) {
    fs::create_directories((root_ / name).parent_path());
    write_text_atomically(root_ / name, text);
  }

  fs::path root_;
};

TEST_F(SystemTest, ReadsTheMachine) {
  const MemoryFacts facts = memory_facts(root_);
  EXPECT_EQ(facts.total_bytes, 16000u * 1024);
  EXPECT_EQ(facts.available_bytes, 9000u * 1024);
}

TEST_F(SystemTest, HonoursGroupsOfVersion2AndThoseAroundThem) {
  write("proc/self/cgroup", "0::/outer/inner\n");
  write("sys/fs/cgroup/outer/memory.max", "8192000\n");
  write("sys/fs/cgroup/outer/memory.current", "5000000\n");
  write("sys/fs/cgroup/outer/memory.stat", "anon 1\ninactive_file 1000000\n");
  write("sys/fs/cgroup/outer/inner/memory.max", "max\n");
  const MemoryFacts facts = memory_facts(root_);
  EXPECT_EQ(facts.total_bytes, 8192000u);
  EXPECT_EQ(facts.available_bytes, 8192000u - 4000000u);
}

TEST_F(SystemTest, HonoursGroupsOfVersion1) {
  write("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/a\n");
  write("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4096000\n");
  write("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "5000000\n");
  const MemoryFacts facts = memory_facts(root_);
  EXPECT_EQ(facts.total_bytes, 4096000u);
  EXPECT_EQ(facts.available_bytes, 0u);
}

TEST_F(SystemTest, AnswersWithoutProc) {
  EXPECT_EQ(memory_facts(root_ / "nowhere").total_bytes, 0u);
}

TEST(ProcessTest, KnowsItsOwnMemory) {
  EXPECT_GT(resident_bytes(), 0u);
  EXPECT_GE(peak_resident_bytes(), resident_bytes() / 2);
  EXPECT_GE(usable_cores(), 1);
  EXPECT_FALSE(cpu_name().empty());
}

}  // namespace
}  // namespace farthing
