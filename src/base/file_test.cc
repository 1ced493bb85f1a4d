#include "base/file.h"

#include <array>
#include <fstream>

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/directory.h"
#include "base/error.h"

namespace farthing {
namespace {

namespace fs = std::filesystem;

class FileTest : public testing::Test {
 protected:
  FileTest() {
    folder_ = fs::temp_directory_path() / fmt::format("farthing_file_{}", ::getpid());
    fs::create_directories(folder_);
  }
  ~FileTest() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(FileTest, TextIsReplacedWholeAndLeavesNoTemporaryFile) {
  write_text_atomically(folder_ / "a", "old and long");
  write_text_atomically(folder_ / "a", "new");
  EXPECT_EQ(read_text(folder_ / "a"), "new");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(FileTest, ErrorsNameTheFile) {
  try {
    read_text(folder_ / "absent");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kNotFound);
    EXPECT_NE(std::string(error.what()).find("absent"), std::string::npos);
  }
  EXPECT_THROW(read_text(folder_), Error);
  EXPECT_THROW(write_text_atomically(folder_ / "no" / "folder", "x"), Error);
}

TEST_F(FileTest, PositionsAreIndependent) {
  PositionalFile file(folder_ / "b", PositionalFile::Mode::kCreate);
  file.reserve(8);
  EXPECT_EQ(file.size(), 8u);
  const std::array<std::byte, 2> bytes = {std::byte{1}, std::byte{2}};
  file.write_at(6, bytes);
  std::array<std::byte, 3> back;
  file.read_at(5, back);
  EXPECT_EQ(back, (std::array<std::byte, 3>{std::byte{0}, std::byte{1}, std::byte{2}}));
  EXPECT_THROW(file.read_at(6, back), Error);
}

TEST_F(FileTest, ExchangeSwapsFolders) {
  fs::create_directories(folder_ / "x");
  fs::create_directories(folder_ / "y" / "inside");
  if (!exchange_paths(folder_ / "x", folder_ / "y")) GTEST_SKIP() << "this file system cannot";
  EXPECT_TRUE(fs::exists(folder_ / "x" / "inside"));
  EXPECT_GT(free_disk_bytes(folder_).value(), 0u);
}

TEST_F(FileTest, ListsAndRemoves) {
  create_folders(folder_ / "z" / "inside");
  write_text_atomically(folder_ / "b", "");
  fs::create_symlink("nowhere", folder_ / "a");
  fs::create_directory_symlink("z", folder_ / "y");
  EXPECT_EQ(list_files(folder_), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(list_folders(folder_), (std::vector<std::string>{"y", "z"}));
  remove_tree(folder_ / "y");
  EXPECT_TRUE(fs::exists(folder_ / "z" / "inside"));
  EXPECT_THROW(list_files(folder_ / "absent"), Error);
  EXPECT_THROW(create_folders(folder_ / "b" / "under a file"), Error);
}

TEST_F(FileTest, ALockHoldsUntilItGoes) {
  {
    const DirectoryLock lock(folder_);
    EXPECT_THROW(DirectoryLock second(folder_), Error);
  }
  EXPECT_NO_THROW(DirectoryLock third(folder_));
}

}  // namespace
}  // namespace farthing
