#include <cstdlib>

#include <gtest/gtest.h>

#include "checkpoint/checkpoint.h"
#include "checkpoint/test_files.h"

namespace farthing::checkpoint {
namespace {

namespace fs = std::filesystem;

// A cache with two revisions of org/name; the environment points to it and is put back.
class HubCacheTest : public testing::Test {
 protected:
  HubCacheTest() {
    for (const char* name : kVariables) {
      const char* value = std::getenv(name);
      old_.push_back(value == nullptr ? std::optional<std::string>() : value);
      ::unsetenv(name);
    }
    const fs::path repository = folder_ / "hub" / "models--org--name";
    for (const char* commit : {"abc123", "abd456"}) fs::create_directories(repository / "snapshots" / commit);
    fs::create_directories(repository / "refs" / "refs" / "pr");
    write_text_atomically(repository / "refs" / "main", "abc123\n");
    write_text_atomically(repository / "refs" / "refs" / "pr" / "1", "abd456");
    fs::create_directories(folder_ / "hub" / "models--gpt2" / "snapshots");
    snapshots_ = repository / "snapshots";
  }
  ~HubCacheTest() override {
    for (std::size_t i = 0; i < old_.size(); ++i) {
      old_[i] ? ::setenv(kVariables[i], old_[i]->c_str(), 1) : ::unsetenv(kVariables[i]);
    }
  }

  static constexpr const char* kVariables[] = {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME",
                                               "XDG_CACHE_HOME", "HOME"};
  TemporaryFolder folder_;
  fs::path snapshots_;
  std::vector<std::optional<std::string>> old_;
};

TEST_F(HubCacheTest, FindsTheCacheAsTheHubDoes) {
  ::setenv("HF_HUB_CACHE", (folder_ / "hub").c_str(), 1);
  EXPECT_EQ(find_model("org/name"), snapshots_ / "abc123");
  ::unsetenv("HF_HUB_CACHE");
  ::setenv("HF_HOME", folder_.path().c_str(), 1);
  EXPECT_EQ(find_model("org/name"), snapshots_ / "abc123");
  ::unsetenv("HF_HOME");
  fs::create_directories(folder_ / ".cache/huggingface");
  fs::create_directory_symlink(folder_ / "hub", folder_ / ".cache/huggingface/hub");
  ::setenv("HOME", folder_.path().c_str(), 1);
  EXPECT_TRUE(fs::equivalent(find_model("org/name"), snapshots_ / "abc123"));
  ::setenv("XDG_CACHE_HOME", (folder_ / ".cache").c_str(), 1);
  ::unsetenv("HOME");
  EXPECT_TRUE(fs::equivalent(find_model("org/name"), snapshots_ / "abc123"));
}

TEST_F(HubCacheTest, HonoursRevisions) {
  ::setenv("HF_HUB_CACHE", (folder_ / "hub").c_str(), 1);
  EXPECT_EQ(find_model("org/name@refs/pr/1").filename(), "abd456");
  EXPECT_EQ(find_model("org/name@abd456").filename(), "abd456");
  EXPECT_EQ(find_model("org/name@abd").filename(), "abd456");
  expect_error(Code::kNotFound, {"not this revision", "revision=ab ", "there_are=abc123, abd456"},
               [] { find_model("org/name@ab"); });
  expect_error(Code::kNotFound, {"revision=v2", "hf download org/name --revision v2"},
               [] { find_model("org/name@v2"); });
}

TEST_F(HubCacheTest, SaysWhatToDownload) {
  ::setenv("HF_HUB_CACHE", (folder_ / "hub").c_str(), 1);
  expect_error(
      Code::kNotFound,
      {"neither a folder nor in the Hugging Face cache", "models--org--other", "hf download org/other"},
      [] { find_model("org/other"); });
  expect_error(Code::kNotFound, {"models--gpt2", "hf download gpt2"}, [] { find_model("gpt2"); });
  for (const char* path :
       {"/no/such", "./no/such", "a/b/c", "../x", "org/../name", "org/name@../../x", "org/", "~/x"}) {
    expect_error(Code::kNotFound, {"no such model folder", path}, [&] { find_model(path); });
  }
  expect_error(Code::kInvalidArgument, {"empty"}, [] { find_model(""); });
  EXPECT_EQ(find_model(folder_.path().string()), folder_.path());
}

}  // namespace
}  // namespace farthing::checkpoint
